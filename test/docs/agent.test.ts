/** The agent that the documentation shows, embedded and over the socket. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Actions } from '../../docs/agent/agent.ts';
import { runEmbedded } from '../../docs/agent/embedded.ts';
import { runOverSocket } from '../../docs/agent/over-socket.ts';
import { until } from '../support/until.ts';
import { DB, ExampleService, WEB } from '../support/example-service.ts';

const REBOOT = 1;
const SUSPEND = 2;

type Run = (example: ExampleService, actions: Actions, signal: AbortSignal) => Promise<void>;

const vms = [DB, WEB];

const WAYS: readonly (readonly [string, Run])[] = [
  [
    'embedded',
    (example, actions, signal) =>
      runEmbedded({ vms, actions }, signal, () => example.openInventory()),
  ],
  [
    'over the socket',
    (example, actions, signal) => runOverSocket({ vms, actions }, signal, example.socketPath),
  ],
];

describe.each(WAYS)('an agent %s', (way, run) => {
  let example: ExampleService;
  let done: string[];
  let failures: number;
  /** The toolstack's call returns before the domain is gone. */
  let takesLong: boolean;
  let stop: AbortController;
  let running: Promise<void>;

  const actions: Actions = {
    destroy: async (_uuid, domid) => {
      if (failures-- > 0) throw new Error('not now');
      done.push(`destroy ${domid}`);
      if (!takesLong) example.destroy(domid);
    },
    start: async (uuid) => {
      done.push(`start ${uuid}`);
      example.boot(20, uuid, 'again');
    },
  };
  const start = (): void => {
    stop = new AbortController();
    running = run(example, actions, stop.signal);
  };
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
  };
  const does = (...wanted: string[]): Promise<unknown> =>
    until(() => done.length >= wanted.length, { what: wanted.join(', ') }).then(() =>
      expect(done).toEqual(wanted),
    );

  beforeEach(async () => {
    done = [];
    failures = 0;
    takesLong = false;
    example = await ExampleService.start();
    start();
  });

  afterEach(async () => {
    await end();
    await example.close();
  });

  test('destroys what powers off and restarts what reboots', async () => {
    example.shutDown(3);
    await does('destroy 3');
    example.shutDown(7, REBOOT);
    await does('destroy 3', 'destroy 7', `start ${WEB}`);
    example.shutDown(20, REBOOT);
    await does('destroy 3', 'destroy 7', `start ${WEB}`, 'destroy 20', `start ${WEB}`);
  });

  test('acts on what shut down while it was away', async () => {
    await end();
    example.shutDown(3);
    start();
    await does('destroy 3');
  });

  test('acts on what shut down while xenstored was away', async () => {
    example.shutDown(7);
    await does('destroy 7');
    await example.stopXenstored();
    example.shutDown(3);
    await example.startXenstored();
    await does('destroy 7', 'destroy 3');
  });

  test('starts a VM only when the one that it destroyed is gone', async () => {
    takesLong = true;
    example.shutDown(7, REBOOT);
    await does('destroy 7');
    takesLong = false;
    example.shutDown(3);
    await does('destroy 7', 'destroy 3');
    example.destroy(7);
    await does('destroy 7', 'destroy 3', `start ${WEB}`);
  });

  test('does again what has failed', async () => {
    failures = 1;
    example.shutDown(3);
    await does('destroy 3');
  });

  // The agent acts on changes in their order: when it has acted on the last one, it has ignored the others.
  test('leaves alone a VM that has a twin, and what is not its own', async () => {
    example.boot(12, WEB, 'twin');
    example.boot(13, '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c13', 'of another');
    example.shutDown(7);
    example.shutDown(13);
    example.shutDown(3);
    await does('destroy 3');
    example.destroy(12);
    await does('destroy 3', 'destroy 7');
  });

  test('leaves alone a VM that is suspended', async () => {
    example.shutDown(3, SUSPEND);
    example.shutDown(7);
    await does('destroy 7');
  });

  if (way === 'over the socket') {
    test('acts on what shut down while the service was away', async () => {
      example.shutDown(7);
      await does('destroy 7');
      await example.stopService();
      example.shutDown(3);
      await example.startService();
      await does('destroy 7', 'destroy 3');
    });
  }
});
