/** The Xen of this dom0 as a host for scenarios. */
import type { Domid } from '../../src/domain.ts';
import { openHypervisor } from '../../src/hypervisor/open.ts';
import { WatchableXenstore } from '../../src/xenstore/watches.ts';
import type { ScenarioHost } from '../inventory/scenario-host.ts';
import {
  destroyAll,
  type Held,
  hold,
  killXenstored,
  note,
  startDomainMaker,
  startXenstored,
  until,
  witness,
} from './dom0.ts';

const NIL = '00000000-0000-0000-0000-000000000000';

const domidIn = (line = ''): Domid => Number(line.split(' ')[0]) as Domid;

export async function openXenHost(): Promise<ScenarioHost> {
  const hypervisor = openHypervisor();
  const maker = startDomainMaker();
  const held = new Set<Held>();
  let xenstoredRuns = true;
  const start = async (): Promise<void> => {
    await startXenstored();
    xenstoredRuns = true;
  };

  return {
    hypervisor,
    openXenstore: () => WatchableXenstore.open(),
    create: async ({ uuid = NIL, domid } = {}) => {
      const named = domid === undefined ? [] : ['--domid', domid];
      const [line] = await maker.ask('bare', 1, '--uuid', uuid, ...named);
      return domidIn(line);
    },
    boot: async (count) => (await maker.ask('introduced', count)).map(domidIn),
    introduce: async (domid) => void (await maker.ask('introduce', domid)),
    pause: async (domid) => void (await maker.ask('pause', domid)),
    unpause: async (domid) => void (await maker.ask('unpause', domid)),
    shutdown: async (domid, code) => void (await maker.ask('shutdown', domid, code)),
    resume: async (domid) => void (await maker.ask('resume', domid)),
    rename: async (domid, uuid) => void (await maker.ask('sethandle', domid, uuid)),
    destroy: async (...domids) => void (await maker.ask('destroy', ...domids)),
    hold: async (domid) => {
      const holder = await hold(domid);
      held.add(holder);
      return async () => {
        held.delete(holder);
        await holder.release();
      };
    },
    killXenstored: async () => {
      xenstoredRuns = false;
      await killXenstored();
    },
    startXenstored: start,
    note,
    close: async () => {
      await Promise.all([...held].map((each) => each.release()));
      await maker.close();
      if (!xenstoredRuns) await start();
      await destroyAll();
      await until(async () => (await witness()).length === 1, { what: 'all domains are gone' });
      await hypervisor.close();
    },
  };
}
