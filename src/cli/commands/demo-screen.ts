/** The text of the demonstration: a screen for a terminal, or a line for a pipe. */
import type { DemoView } from './demo-figures.ts';

/** The texts that differ between the simulated host and a real Xen. */
export interface DemoHost {
  /** Begins each line in a pipe. */
  readonly name: string;
  /** Above the figures. */
  readonly title: string;
  /** Below them. */
  readonly hint: string;
}

export function screenOf(view: DemoView, { title, hint }: DemoHost): string {
  const changes = view.changes.map(
    ({ kind, domid, uuid }) => `  ${kind.padEnd(9)} ${String(domid).padStart(5)}  ${uuid}\n`,
  );
  return `${title}

  VMs                   ${view.vms}
  look-ups a second     ${Math.round(view.lookupsASecond)}
  latency p50, p99      ${view.medianMs.toFixed(2)} ms, ${view.p99Ms.toFixed(2)} ms
  hypercalls a look-up  ${view.hypercallsALookup.toFixed(3)}, each answer confirmed while its asker waited
  lists of all domains  ${view.lists} since the start
  wrong answers         ${view.wrong}

${hint}

Changes of domains:
${changes.join('')}`;
}

export function lineOf(view: DemoView, { name }: DemoHost): string {
  const last = view.changes.at(-1);
  const change = last === undefined ? '' : `; last: domain ${last.domid} ${last.kind}`;
  return `${name}, ${view.vms} VMs: ${Math.round(view.lookupsASecond)} look-ups a second, p50 ${view.medianMs.toFixed(2)} ms, ${view.hypercallsALookup.toFixed(3)} hypercalls a look-up, ${view.lists} lists, ${view.wrong} wrong${change}\n`;
}
