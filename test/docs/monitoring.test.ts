/** The alert rules and the dashboard of `docs/monitoring` use metrics that exist, and the rules fire when they must. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { cannot } from '../lab/cannot.ts';
import { Client, openRoom } from '../support/daemon-room.ts';
import { scrape } from '../support/scrape.ts';
import { root } from './markdown.ts';

const folder = join(root, 'docs/monitoring');
const read = (file: string): string => readFileSync(join(folder, file), 'utf8');
const dashboard = JSON.parse(read('dashboard.json')) as {
  panels: { title: string; targets: { expr: string }[] }[];
};
const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));

/** The labels of each metric. Prometheus adds `instance` and `job`. */
let metrics: Map<string, Set<string>>;

beforeAll(async () => {
  const room = await openRoom({ domainMetrics: true });
  // The metrics of requests and of garbage collections are there once they have a value.
  const client = await Client.connect(room.path);
  await client.call('version');
  client.close();
  const samples = (await scrape(room.path)).split('\n').filter((line) => /^\w/.test(line));
  await room.close();
  metrics = new Map([['up', new Set(['instance', 'job'])]]);
  for (const sample of samples) {
    const [, name = '', labels = ''] = /^(\w+)(?:\{(.*)\})? /.exec(sample) ?? [];
    const known = metrics.get(name) ?? new Set(['instance', 'job']);
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) known.add(label);
    metrics.set(name, known);
  }
});

/** Returns the names of metrics and labels in a query that the service does not have. */
function strangersIn(query: string): string[] {
  const selectors = [
    ...query.matchAll(/\b((?:xen_domid|process|nodejs)_\w+|up)\b(?:\{([^}]*)\})?/g),
  ];
  expect(selectors).not.toEqual([]);
  return selectors.flatMap(([, name = '', labels = '']) => {
    const known = metrics.get(name);
    if (known === undefined) return [name];
    return [...labels.matchAll(/(\w+)(?:=~?|!=)"/g)]
      .map(([, label = '']) => label)
      .filter((label) => !known.has(label))
      .map((label) => `${name}{${label}}`);
  });
}

it('the dashboard names metrics and labels that there are', () => {
  expect(queries.length).toBeGreaterThan(20);
  expect(queries.flatMap(strangersIn)).toEqual([]);
});

it('the legends of the dashboard name labels that its queries leave', () => {
  const text = read('dashboard.json');
  const legends = [...text.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label);
  const labels = new Set([...metrics.values()].flatMap((own) => [...own]));
  expect(legends.filter((label) => !labels.has(label))).toEqual([]);
});

interface Rule {
  readonly name: string;
  readonly expression: string;
}

/** The rules, read line by line: each begins with its name, and has its expression before the next key. */
const rules: Rule[] = read('alerts.yml')
  .split('- alert: ')
  .slice(1)
  .map((text) => ({
    name: /^\w+/.exec(text)?.[0] ?? '',
    expression: /expr: >?([\s\S]*?)\n +(?:for|labels):/.exec(text)?.[1]?.trim() ?? '',
  }));

it('the alerts name metrics and labels that there are', () => {
  expect(rules.length).toBeGreaterThan(15);
  expect(rules.flatMap(({ expression }) => strangersIn(expression))).toEqual([]);
});

const fires = (text: string): boolean => text.includes('exp_labels');

it('each alert is explained, has a case in which it fires, and one in which it does not', () => {
  const names = rules.map(({ name }) => name);
  const explained = [...read('README.md').matchAll(/^\| `(Xen\w+)`/gm)].map(
    ([, name = '']) => name,
  );
  expect(explained.toSorted()).toEqual(names.toSorted());
  const cases = read('alerts-test.yml').split('alertname: ').slice(1);
  for (const name of names) {
    const own = cases.filter((text) => text.startsWith(`${name}\n`));
    expect([name, own.map(fires)]).toEqual([name, [true, false]]);
  }
});

const promtool = cannot(spawnSync('promtool', ['--version']).error && 'there is no promtool');
const scratch = mkdtempSync(join(tmpdir(), 'monitoring-'));
afterAll(() => rmSync(scratch, { recursive: true }));

function saidBy(...argv: readonly string[]): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync('promtool', argv, { encoding: 'utf8' });
  return { status, said: stdout + stderr };
}

promtool('the alerts fire in their cases, and only there', () => {
  expect(saidBy('test', 'rules', join(folder, 'alerts-test.yml'))).toMatchObject({ status: 0 });
});

promtool('Prometheus can parse each query of the dashboard', () => {
  const recorded = queries.map((query, at) => {
    const plain = query.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*');
    return `{ "record": "query:${at}", "expr": ${JSON.stringify(plain)} }`;
  });
  const file = join(scratch, 'queries.yml');
  writeFileSync(file, `{ "groups": [{ "name": "queries", "rules": [${recorded.join()}] }] }`);
  expect(saidBy('check', 'rules', file)).toMatchObject({
    status: 0,
    said: expect.stringContaining(`${queries.length} rules found`) as unknown,
  });
});
