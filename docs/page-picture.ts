/** `npm run bench page-picture`: shows the page for browsers in `docs/pictures/page-dark.png` and `page-light.png`. Needs Chromium. */
import { join } from 'node:path';
import { Chromium, Forward } from '../test/support/chromium.ts';
import { ExampleService } from '../test/support/example-service.ts';
import { uuidOf } from '../test/support/vms.ts';

const PICTURES = join(import.meta.dirname, '../../docs/pictures');
const LOOK = { width: 1280, height: 480 };
const GIB_PAGES = 2 ** 18;
const POWEROFF = 0;
const CRASH = 3;

const example = await ExampleService.start();
const forward = await Forward.to(example.socketPath);
const chromium = await Chromium.start();
try {
  for (const [domid, name, gib, vcpus] of [
    [9, 'build-2', 16, 8],
    [12, 'mail', 4, 2],
    [13, 'win-11', 8, 4],
    [17, 'router', 1, 1],
  ] as const)
    example.boot(domid, uuidOf(domid), name, { memoryPages: gib * GIB_PAGES, vcpus });
  await example.list();
  const tab = await chromium.tab();
  await tab.look(LOOK);
  await tab.open(`http://localhost:${forward.port}/`);
  await tab.until(`document.body.innerText.includes('router')`);
  example.boot(18, uuidOf(18), 'web-2', { memoryPages: 2 * GIB_PAGES, vcpus: 2 });
  await tab.until(`document.querySelector('#changes').innerText.includes('web-2')`);
  example.shutDown(9, POWEROFF);
  example.shutDown(13, CRASH);
  await example.list();
  await tab.until(`document.querySelector('#changes').innerText.includes('crash')`);
  example.destroy(9);
  await tab.until(`document.querySelector('#changes').innerText.includes('destroyed')`);
  await tab.until(`document.querySelectorAll('tr.new').length === 0`);
  // The port is another one each time.
  await tab.evaluate(
    `document.querySelector('#about').textContent = '0.1.0 · Xen 4.17 · localhost:8080'`,
  );
  for (const scheme of ['dark', 'light'] as const) {
    // oxlint-disable no-await-in-loop -- one after the other
    await tab.look({ ...LOOK, scheme });
    await tab.screenshot(join(PICTURES, `page-${scheme}.png`));
    // oxlint-enable no-await-in-loop
  }
} finally {
  await chromium.close();
  await forward.close();
  await example.close();
}
