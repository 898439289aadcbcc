/** What a service leaves behind in its process. */
import { once } from 'node:events';
import { get } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from '@jest/globals';
import { openRoom } from '../support/daemon-room.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

async function scrapedAndEnded(): Promise<WeakRef<object>> {
  const room = await openRoom();
  const request = get({ socketPath: room.path, path: '/metrics', agent: false });
  const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
  expect(response.statusCode).toBe(200);
  await once(response.resume(), 'close');
  const inventory = new WeakRef(room.inventory);
  await room.close();
  return inventory;
}

it('lets go of a service that was scraped and has ended', async () => {
  const inventory = await scrapedAndEnded();
  for (let turn = 0; turn < 500 && inventory.deref() !== undefined; turn++) {
    // oxlint-disable-next-line no-await-in-loop -- until nothing on its way holds it
    await nextTurn();
    if (turn % 10 === 0) collect();
  }
  expect(inventory.deref()).toBeUndefined();
});
