/** In dom0: creates VMs as a toolstack does, and starts the measured processes. */
import { randomUUID } from 'node:crypto';

import { type DomainMaker, startDomainMaker } from '../../test/lab/dom0.ts';
import { Agent, type Daemon, NOBODY, OthersInC, startDaemon } from './contestants.ts';

export interface Vm {
  readonly domid: number;
  readonly uuid: string;
}

export interface Bench {
  readonly maker: DomainMaker;
  readonly c: OthersInC;
  readonly inProcess: Agent;
  close(): Promise<void>;
}

/** The service and a client of it. */
export interface Service {
  readonly daemon: Daemon;
  readonly client: Agent;
  close(): Promise<void>;
}

/** Look-ups before anything is timed: a service has been running for long when a storm begins. */
const WARM_UP = 5000;
/** Look-ups of a UUID that no domain has. */
const WARM_UP_LISTS = 20;

export async function makeVm(maker: DomainMaker): Promise<Vm> {
  const uuid = randomUUID();
  const [line = ''] = await maker.ask('bare', 1, '--uuid', uuid);
  return { domid: Number(line.split(' ')[0]), uuid };
}

export async function openBench(): Promise<Bench> {
  const maker = startDomainMaker();
  const c = new OthersInC();
  const inProcess = new Agent('inventory');
  const { domid, uuid } = await makeVm(maker);
  await inProcess.lookup(uuid, domid, WARM_UP);
  await inProcess.lookup(randomUUID(), NOBODY, WARM_UP_LISTS);
  await inProcess.paged('1024 empty', uuid, domid, 200);
  await maker.ask('destroy', domid);
  return {
    maker,
    c,
    inProcess,
    close: async () => {
      await Promise.all([inProcess.close(), c.close(), maker.close()]);
    },
  };
}

/** @param warmUp a VM to look up until the code of both is optimised. */
export async function openService(warmUp: Vm): Promise<Service> {
  const daemon = await startDaemon();
  const client = new Agent('client');
  await client.lookup(warmUp.uuid, warmUp.domid, WARM_UP / 5);
  await client.lookup(randomUUID(), NOBODY, WARM_UP_LISTS);
  return {
    daemon,
    client,
    close: async () => {
      await client.close();
      await daemon.close();
    },
  };
}
