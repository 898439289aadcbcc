/** `GET /` on the socket: the page for browsers, asked by HTTP and shown by a real Chromium. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request, type IncomingHttpHeaders } from 'node:http';
import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { cannot } from '../lab/cannot.ts';
import { Chromium, Forward, hasChromium, type Tab } from '../support/chromium.ts';
import { ExampleService, NEW, WEB } from '../support/example-service.ts';

const LOAD_MS = 120_000;

let example: ExampleService;
beforeEach(async () => {
  example = await ExampleService.start();
});
afterEach(() => example.close());

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

async function ask(
  method: string,
  headers: Readonly<Record<string, string>> = {},
  path = '/',
): Promise<Answer> {
  const options = { socketPath: example.socketPath, method, path, headers, agent: false };
  const [response] = await once(request(options).end(), 'response');
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return { status: response.statusCode, headers: response.headers, text };
}

const partOf = (html: string, tag: string): string =>
  new RegExp(`<${tag}>([^]*?)</${tag}>`).exec(html)?.[1] ?? '';

describe('the page by HTTP', () => {
  it('is one document, which may run its own script and nothing else', async () => {
    const { status, headers, text } = await ask('GET');
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    expect(headers['content-length']).toBe(String(Buffer.byteLength(text)));
    const sourceOf = (tag: string): string =>
      `'sha256-${createHash('sha256').update(partOf(text, tag)).digest('base64')}'`;
    expect(String(headers['content-security-policy']).split('; ')).toEqual([
      "default-src 'none'",
      `script-src ${sourceOf('script')}`,
      `style-src ${sourceOf('style')}`,
      "connect-src 'self'",
      'img-src data:',
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ]);
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    });
    expect(partOf(text, 'script')).toContain('textContent');
    expect(text).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/);
    expect(text.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:\/\/|\ssrc=/);
  });

  it('is only a head to HEAD, and refused to other methods', async () => {
    const { headers, text } = await ask('GET');
    const head = await ask('HEAD');
    expect(head).toMatchObject({ status: 200, text: '' });
    expect(head.headers['content-length']).toBe(headers['content-length']);
    expect(text.length).toBeGreaterThan(1000);
    for (const method of ['PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const refused = await ask(method);
      expect(refused).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD, POST' } });
    }
  });
});

/** Expressions for the browser: the texts of the rows, and of the lines without their times. */
const rows = `[...document.querySelectorAll('tbody tr')].map((row) => row.innerText.split(/\\s*\\t\\s*/))`;
const lines = `[...document.querySelectorAll('#changes li')].map((line) => line.innerText.replaceAll(/\\s+/g, ' ').slice(9))`;
const shows = (text: string): string => `document.body.innerText.includes(${JSON.stringify(text)})`;

describe('the page in a browser', () => {
  // A developer's machine need not have it; CI must.
  const browser = cannot(process.env['CI'] === undefined && !hasChromium && 'there is no chromium');

  let chromium: Chromium | undefined;
  let forward: Forward | undefined;
  let tab: Tab;
  afterEach(async () => {
    await tab?.close();
    await forward?.close();
    forward = undefined;
  });
  afterAll(() => chromium?.close());

  async function openPage(): Promise<void> {
    chromium ??= await Chromium.start();
    forward = await Forward.to(example.socketPath);
    tab = await chromium.tab();
    await tab.look({});
    await tab.open(`http://localhost:${forward.port}/`);
    await tab.until(`document.querySelector('#state').textContent === 'live'`);
    await tab.until(`${rows}.length > 0`);
  }

  browser(
    'shows the domains with their names, and asks nothing of anyone else',
    async () => {
      await openPage();
      await tab.until(shows('web-1'));
      const [first, second] = await tab.evaluate<string[][]>(rows);
      expect(first).toEqual([
        'db-1',
        '3',
        'running',
        '8 GiB',
        '4',
        expect.any(String),
        expect.any(String),
      ]);
      expect(second).toEqual(['web-1', '7', 'running', '2 GiB', '2', expect.any(String), WEB]);
      await tab.until(shows('so far'));
      const { port } = forward as Forward;
      for (const url of tab.requests)
        expect(url).toMatch(new RegExp(`^http://localhost:${port}/(events)?$|^data:image`));
      expect(tab.complaints).toEqual([]);
    },
    LOAD_MS,
  );

  browser(
    'follows a boot, a shutdown and a destroy, with a line for each',
    async () => {
      await openPage();
      example.boot(8, NEW, 'web-2');
      await tab.until(shows('web-2'));
      expect(await tab.evaluate(`${rows}.length`)).toBe(3);
      example.shutDown(8);
      await example.list();
      await tab.until(shows('shutdown: poweroff'));
      example.destroy(8);
      await tab.until(`${rows}.length === 2`);
      await tab.until(`${lines}.some((line) => line.startsWith('destroyed'))`);
      const seen = await tab.evaluate<string[]>(lines);
      expect(seen.at(-1)).toBe(`created 8 web-2 ${NEW}`);
      expect(seen).toContain(`shutdown 8 web-2 poweroff ${NEW}`);
      expect(seen[0]).toBe(`destroyed 8 web-2 ${NEW}`);
      expect(tab.complaints).toEqual([]);
    },
    LOAD_MS,
  );

  browser(
    'survives a restart of the service, and shows the changes that happened meanwhile',
    async () => {
      await openPage();
      await tab.until(shows('web-1'));
      await example.stopService();
      await tab.until(shows('the last known state'));
      example.destroy(7);
      example.boot(9, NEW, 'web-3');
      await example.startService();
      await tab.until(`document.querySelector('#state').textContent === 'live'`);
      await tab.until(shows('web-3'));
      expect(await tab.evaluate(`${rows}.map(([name]) => name)`)).toEqual(['db-1', 'web-3']);
      expect(await tab.evaluate(lines)).toEqual([
        `created 9 web-3 ${NEW}`,
        `destroyed 7 web-1 ${WEB}`,
        'connected again, to a new feed with 2 domains',
        'lost the connection to the service',
      ]);
      // The feed goes on.
      example.destroy(9);
      await tab.until(`${rows}.length === 1`);
    },
    LOAD_MS,
  );

  browser(
    'shows a name that a guest made of HTML as text',
    async () => {
      await openPage();
      const name = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
      example.boot(8, NEW, name);
      await tab.until(`${rows}.some(([text]) => text === ${JSON.stringify(name)})`);
      await tab.until(`${lines}.some((line) => line.includes('<img src=x'))`);
      expect(
        await tab.evaluate(`document.querySelectorAll('img, script:not(:last-child)').length`),
      ).toBe(0);
      expect(await tab.evaluate('document.title')).toBe(`xen-domid · localhost:${forward?.port}`);
      // The policy is in force: not even the page's own code could do it.
      expect(
        await tab.evaluate(
          `(() => { try { document.body.innerHTML = '<p>'; } catch (error) { return error.name; } })()`,
        ),
      ).toBe('TypeError');
    },
    LOAD_MS,
  );

  browser(
    'sorts by the column that is clicked, and filters',
    async () => {
      await openPage();
      await tab.until(shows('web-1'));
      const names = `${rows}.map(([name]) => name)`;
      const click = (title: string): Promise<void> =>
        tab.evaluate(
          `[...document.querySelectorAll('th button')].find((button) => button.textContent === '${title}').click()`,
        );
      await click('Memory');
      await tab.until(`${names}.join() === 'web-1,db-1'`);
      await click('Memory');
      await tab.until(`${names}.join() === 'db-1,web-1'`);
      expect(await tab.evaluate(`document.querySelector('[aria-sort]').ariaSort`)).toBe(
        'descending',
      );
      await tab.evaluate(
        `(() => { const input = document.querySelector('#filter'); input.value = '${WEB.slice(0, 8).toUpperCase()}'; input.dispatchEvent(new Event('input')); })()`,
      );
      await tab.until(`${names}.join() === 'web-1'`);
    },
    LOAD_MS,
  );

  browser(
    'fits a wide window and a telephone, dark and light',
    async () => {
      await openPage();
      await tab.until(shows('web-1'));
      const grounds = new Set<string>();
      for (const width of [1280, 800, 390]) {
        for (const scheme of ['dark', 'light'] as const) {
          // oxlint-disable no-await-in-loop -- one after the other
          await tab.look({ width, scheme });
          await tab.until(`innerWidth === ${width}`);
          const wide = `[document.documentElement, ...document.querySelectorAll('section')].filter((element) => element.scrollWidth > element.clientWidth).map((element) => element.id)`;
          expect({ width, wide: await tab.evaluate(wide) }).toEqual({ width, wide: [] });
          grounds.add(await tab.evaluate('getComputedStyle(document.body).backgroundColor'));
          // oxlint-enable no-await-in-loop
        }
      }
      expect(grounds.size).toBe(2);
    },
    LOAD_MS,
  );

  browser(
    'says why the hypervisor cannot be asked, and recovers',
    async () => {
      await openPage();
      example.hypervisor.failNext('sysctl', 'EPERM', 1_000_000);
      await tab.until(shows('Xen does not permit'));
      expect(await tab.evaluate(`${rows}.length`)).toBe(2);
      example.hypervisor.clearFaults();
      await tab.until(`document.querySelector('#notice').hidden`);
      expect(await tab.evaluate(`document.querySelector('#state').textContent`)).toBe('live');
    },
    LOAD_MS,
  );

  browser(
    'is of no use to a page of another site in the same browser',
    async () => {
      await openPage();
      const { port } = forward as Forward;
      await tab.open(`http://evil.example:${port}/`);
      await tab.until(shows('Host must be'));
      const attack = (path: string, init = '{}'): string =>
        `fetch('http://localhost:${port}${path}', ${init}).then((answer) => answer.text().then((text) => answer.status + text), () => 'failed')`;
      const call = `{ method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"jsonrpc":"2.0","id":1,"method":"list"}' }`;
      const own = await tab.evaluate<string>(`fetch('/events').then((answer) => answer.status)`);
      expect(own).toBe(421);
      expect(await tab.evaluate(`fetch('/', ${call}).then((answer) => answer.status)`)).toBe(421);
      for (const path of ['/', '/events', '/metrics'])
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        expect(await tab.evaluate(attack(path))).toBe('failed');
      expect(await tab.evaluate(attack('/', call))).toBe('failed');
    },
    LOAD_MS,
  );
});
