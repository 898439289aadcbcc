/** Turns the samples of Node's profiler into a tree of calls, without the smallest. */

export const FLAME_RESULT = 'bench/results/flame.json';

/** The fields of a profile by `node --cpu-prof` that are read here. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
}

export interface Frame {
  readonly name: string;
  /** A folder of `src`, `words` for the files of `src`, `libraries` or `node`. */
  readonly room: string;
  /** Share of the busy samples that are in this call or in calls it makes. */
  readonly share: number;
  readonly children: readonly Frame[];
}

export interface Flame {
  /** Share of all samples in which the daemon was busy. */
  readonly busyShare: number;
  /** Share of the busy samples that are in look-ups or in calls they make, the hypercall included. */
  readonly lookupShare: number;
  /** Shares of the busy samples by purpose. */
  readonly shares: Readonly<Record<string, number>>;
  readonly root: Frame;
}

export interface FlameReport extends Flame {
  readonly machine: string;
  readonly vms: number;
  readonly clients: number;
  readonly seconds: number;
  readonly lookups: number;
}

/** Smaller shares are not visible in the picture. */
const LEAST_SHARE = 0.004;

const NO_WORK = '(idle)';
const LOOK_UPS = '/inventory/lookups.js';

/** The purposes of samples. The innermost frame that matches any of them decides, by the first that it matches. */
const KINDS: readonly (readonly [kind: string, matches: (frame: Named) => boolean])[] = [
  ['the simulated Xen (a hypercall, on a host)', ({ room }) => room === 'simulator'],
  ['the binding to the hypervisor', ({ room }) => room === 'hypervisor'],
  ['the inventory: look-ups, and all else', ({ room }) => room === 'inventory'],
  ['the service: requests and replies', ({ room }) => room === 'service'],
  ['garbage collection', ({ name }) => name === '(garbage collector)'],
];
const OTHER = 'Node itself: sockets, turns, starting up';

interface Named {
  readonly name: string;
  readonly room: string;
  readonly isLookUp?: boolean;
}

interface Growing extends Named {
  samples: number;
  readonly children: Map<string, Growing>;
}

export function flameOf({ nodes, samples }: CpuProfile): Flame {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parentOf = new Map<number, number>();
  for (const { id, children = [] } of nodes) for (const child of children) parentOf.set(child, id);
  const stacks = new Map<number, Named[]>();
  const stackOf = (id: number): Named[] => {
    const known = stacks.get(id);
    if (known !== undefined) return known;
    const parent = parentOf.get(id);
    const node = byId.get(id);
    const stack =
      parent === undefined || node === undefined
        ? []
        : [...stackOf(parent), named(node.callFrame.functionName, node.callFrame.url)];
    stacks.set(id, stack);
    return stack;
  };

  const root: Growing = { name: 'the daemon', room: 'node', samples: 0, children: new Map() };
  const kinds = new Map<string, number>([...KINDS.map(([kind]) => kind), OTHER].map((k) => [k, 0]));
  let lookups = 0;
  for (const id of samples) {
    const stack = stackOf(id);
    if (stack.some(({ name }) => name === NO_WORK)) continue;
    if (stack.some(({ isLookUp }) => isLookUp)) lookups++;
    const innermost = stack.findLast((frame) => KINDS.some(([, matches]) => matches(frame)));
    const kind = KINDS.find(([, matches]) => innermost !== undefined && matches(innermost));
    const name = kind?.[0] ?? OTHER;
    kinds.set(name, (kinds.get(name) ?? 0) + 1);
    root.samples++;
    let at = root;
    for (const frame of stack) {
      const key = `${frame.room}:${frame.name}`;
      let child = at.children.get(key);
      if (child === undefined) at.children.set(key, (child = grow(frame)));
      child.samples++;
      at = child;
    }
  }
  return {
    busyShare: rounded(root.samples / samples.length),
    lookupShare: rounded(lookups / root.samples),
    shares: Object.fromEntries(
      [...kinds].map(([kind, count]) => [kind, rounded(count / root.samples)]),
    ),
    root: frameOf(root, root.samples),
  };
}

function grow({ name, room }: Named): Growing {
  return { name, room, samples: 0, children: new Map() };
}

function named(functionName: string, url: string): Named {
  const name = functionName === '' ? '(anonymous)' : functionName;
  const room = /\/dist\/src\/(?:([a-z]+)\/)?[^/]+$/.exec(
    url.replace(/(\/src\/[a-z]+)\/.*\//, '$1/'),
  );
  if (room !== null) return { name, room: room[1] ?? 'words', isLookUp: url.endsWith(LOOK_UPS) };
  return { name, room: url.includes('/node_modules/') ? 'libraries' : 'node' };
}

function frameOf({ name, room, samples, children }: Growing, all: number): Frame {
  return {
    name,
    room,
    share: rounded(samples / all),
    children: [...children.values()]
      .filter((child) => child.samples / all >= LEAST_SHARE)
      .toSorted((one, other) => other.samples - one.samples)
      .map((child) => frameOf(child, all)),
  };
}

function rounded(share: number): number {
  return Number(share.toFixed(4));
}
