/** Faults around the service, one at a time, each repaired afterwards. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SimulatedHypervisor } from '../../src/simulator/index.ts';
import { EFAULT_TIMES, FAILURES } from '../support/failures.ts';
import { Lottery } from '../support/random.ts';
import { MOST_LOST, type World } from './world.ts';

interface Fault {
  readonly name: string;
  /** xenstored announces every change, during the fault or after it. */
  readonly announced: boolean;
  inject(faults: Faults): Promise<void> | void;
}

export class Faults {
  readonly world: World;
  readonly hypervisor: SimulatedHypervisor;
  readonly injected: Map<string, number> = new Map();

  constructor(world: World, hypervisor: SimulatedHypervisor) {
    this.world = world;
    this.hypervisor = hypervisor;
  }

  /** Injects one fault and waits until it is over. */
  async inject(): Promise<void> {
    const { world } = this;
    const fault = LOTTERY.draw(world.random);
    if (world.announcedOnly && !fault.announced) return;
    this.count(fault.name);
    await fault.inject(this);
  }

  count(name: string): void {
    this.injected.set(name, (this.injected.get(name) ?? 0) + 1);
  }

  /** Cancels queued failures. */
  clear(): void {
    this.hypervisor.clearFaults();
  }

  failing(kind: 'domctl' | 'sysctl' | 'state', most: number): void {
    const { random } = this.world;
    const errno = random.pick(FAILURES);
    const times = 1 + random.below(most);
    this.hypervisor.failNext(kind, errno, errno === 'EFAULT' ? times * EFAULT_TIMES : times);
  }

  between(leastMs: number, mostMs: number): Promise<void> {
    return sleep(leastMs + this.world.random.below(mostMs - leastMs));
  }
}

const FAULTS: readonly (readonly [number, Fault])[] = [
  [
    10,
    {
      name: 'single looks failed',
      announced: true,
      inject: (faults) => faults.failing('domctl', 20),
    },
  ],
  [10, { name: 'lists failed', announced: true, inject: (faults) => faults.failing('sysctl', 3) }],
  [
    4,
    {
      name: 'looks at unique ids failed',
      announced: true,
      inject: (faults) => faults.failing('state', 5),
    },
  ],
  [
    6,
    {
      name: 'lists stood still for up to 0.5 s',
      announced: true,
      inject: async (faults) => {
        faults.hypervisor.stallLists();
        await faults.between(50, 500);
        faults.hypervisor.resumeLists();
      },
    },
  ],
  [
    0.5,
    {
      name: 'lists stood still for more than the 5 s of a look-up',
      announced: true,
      inject: async (faults) => {
        faults.hypervisor.stallLists();
        await faults.between(5200, 6500);
        faults.hypervisor.resumeLists();
      },
    },
  ],
  [
    5,
    {
      name: 'each single look took 3 ms',
      announced: true,
      inject: async (faults) => {
        const { hypervisor } = faults;
        Object.assign(hypervisor, { lookBlocksMs: 3, asyncLookTurns: 3, asyncAnswerTurns: 2 });
        await faults.between(100, 600);
        Object.assign(hypervisor, { lookBlocksMs: 0, asyncLookTurns: 1, asyncAnswerTurns: 0 });
      },
    },
  ],
  [
    4,
    {
      name: "xenstore's connections cut",
      announced: true,
      inject: ({ world }) => world.xenstored.cutConnections(),
    },
  ],
  [
    4,
    {
      name: 'xenstored silent for up to 1 s',
      announced: true,
      inject: async (faults) => {
        faults.world.xenstored.silence();
        await faults.between(50, 1000);
        faults.world.xenstored.speak();
      },
    },
  ],
  [
    3,
    {
      name: 'xenstored killed and started again',
      announced: true,
      inject: async (faults) => {
        const { world } = faults;
        await world.xenstored.stop();
        await faults.between(10, 500);
        await world.xenstored.startAgain();
        world.introduceAll();
      },
    },
  ],
  [
    3,
    {
      name: 'xenstored sent garbage',
      announced: true,
      inject: ({ world: { xenstored, random } }) =>
        xenstored.sendGarbage(Uint8Array.from({ length: 64 }, () => random.below(256))),
    },
  ],
  [
    4,
    {
      name: "xenstore's events lost",
      announced: false,
      inject: ({ world: { xenstored, random } }) =>
        xenstored.loseSpecialEvents(1 + random.below(MOST_LOST)),
    },
  ],
  [
    4,
    {
      name: "xenstore's events merged",
      announced: true,
      inject: async (faults) => {
        faults.world.xenstored.mergeSpecialEvents(true);
        await faults.between(20, 300);
        faults.world.xenstored.mergeSpecialEvents(false);
      },
    },
  ],
  [
    4,
    {
      name: 'events of nothing',
      announced: true,
      inject: ({ world: { xenstored, random } }) =>
        xenstored.fireSpuriously(random.pick(['@introduceDomain', '@releaseDomain'])),
    },
  ],
];

const LOTTERY = new Lottery(FAULTS);
