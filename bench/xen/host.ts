/** In dom0: VMs that are made as a toolstack makes them, and who is measured while they are. */
import { randomUUID } from 'node:crypto';

import { type DomainMaker, startDomainMaker } from '../../test/xen/dom0.ts';
import { Agent, type Daemon, OthersInC, startDaemon } from './contestants.ts';

export interface Vm {
  readonly domid: number;
  readonly uuid: string;
}

export interface Bench {
  readonly maker: DomainMaker;
  readonly c: OthersInC;
  readonly daemon: Daemon;
  readonly inProcess: Agent;
  readonly client: Agent;
  /** CPU that our process takes for a request and its answer, nanoseconds. */
  readonly requestCpuNs: number;
  close(): Promise<void>;
}

/** So often each of ours is asked before anything is timed: a service has been running when a storm begins. */
const WARM_UP = 8000;
const REQUESTS = 300;

export async function makeVm(maker: DomainMaker): Promise<Vm> {
  const uuid = randomUUID();
  const [line = ''] = await maker.ask('bare', 1, '--uuid', uuid);
  return { domid: Number(line.split(' ')[0]), uuid };
}

export async function openBench(): Promise<Bench> {
  const maker = startDomainMaker();
  const c = new OthersInC();
  const daemon = await startDaemon();
  const inProcess = new Agent('inventory');
  const client = new Agent('client');
  const { domid, uuid } = await makeVm(maker);
  let idleNs = 0;
  for (const agent of [inProcess, client]) {
    // oxlint-disable no-await-in-loop -- one after the other, so that nothing disturbs what is measured
    await agent.lookup(uuid, domid, WARM_UP);
    await agent.paged('1024 empty', uuid, domid, 200);
  }
  for (let request = 0; request < REQUESTS; request++) idleNs += (await inProcess.nothing()).idleNs;
  // oxlint-enable no-await-in-loop
  await maker.ask('destroy', domid);
  return {
    maker,
    c,
    daemon,
    inProcess,
    client,
    requestCpuNs: idleNs / REQUESTS,
    close: async () => {
      await Promise.all([inProcess.close(), client.close(), c.close(), maker.close()]);
      await daemon.close();
    },
  };
}
