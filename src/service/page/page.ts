/** The page that the service shows to browsers: its domains, live, and its counters. */
import type { Change } from '../../change.ts';
import { call } from './call.ts';
import { ChangeLines } from './change-lines.ts';
import { Counters, type Stats } from './counters.ts';
import { find, setText } from './elements.ts';
import { follow } from './feed.ts';
import { Host, type NamedDomain, type Vm } from './host.ts';
import { Polling } from './polls.ts';
import { Table } from './table.ts';

const STATS_MS = 2000;
const DETAILS_MS = 5000;
/** Time for further domains to come, before their names are read together. */
const NAMES_MS = 300;

interface Version {
  readonly package: string;
  readonly xen: string;
  readonly simulated?: boolean;
}

const host = new Host();
const table = new Table(show);
const lines = new ChangeLines(host);
const counters = new Counters();
/** Domains that came since the page was last drawn. */
const newcomers = new Set<number>();
let isShowing = false;
let hasDomains = false;
let isFollowing = false;
/** Calls that failed the last time, and the reasons. */
const failures = new Map<string, string>();

/** Draws the domains with the next frame. A hidden page draws nothing. */
function show(): void {
  if (isShowing || !hasDomains) return;
  isShowing = true;
  requestAnimationFrame(() => {
    isShowing = false;
    const { vms } = host;
    table.show(vms, isNewcomer);
    newcomers.clear();
    lines.showNames();
    counters.showDomains(vms);
  });
}

function isNewcomer({ domain }: Vm): boolean {
  return newcomers.has(domain.domid);
}

function showState(): void {
  const state = find('#state');
  const notice = find('#notice');
  state.dataset['live'] = String(isFollowing && failures.size === 0);
  if (isFollowing) {
    setText(state, failures.size === 0 ? 'live' : 'live, with errors');
    setText(notice, [...failures.values()][0] ?? '');
  } else {
    setText(state, 'connecting');
    setText(notice, hasDomains ? 'Not connected. The table has the last known state.' : '');
  }
  notice.hidden = notice.textContent === '';
}

/** Asks the service, unless it is away, and shows whether it failed. */
async function trying(name: string, ask: () => Promise<void>): Promise<void> {
  if (!isFollowing) return;
  try {
    await ask();
    failures.delete(name);
  } catch (error) {
    failures.set(name, error instanceof Error ? error.message : String(error));
  }
  showState();
}

const stats = new Polling({
  everyMs: STATS_MS,
  ask: () => trying('stats', async () => counters.showStats(await call<Stats>('stats'))),
});
const details = new Polling({
  everyMs: DETAILS_MS,
  ask: () =>
    trying('list', async () => {
      host.describe((await call<{ domains: NamedDomain[] }>('list', { names: true })).domains);
      show();
    }),
});

async function showVersion(): Promise<void> {
  const { package: version, xen, simulated } = await call<Version>('version');
  const parts = [version, `Xen ${xen}`, location.host];
  if (simulated === true) parts.splice(1, 1, 'simulated host');
  setText(find('#about'), parts.join(' · '));
  document.title = `xen-domid · ${location.host}`;
}

/** Adds the lines of changes, and applies them. */
function tell(changes: readonly Change[]): void {
  for (const change of changes) {
    const name = host.nameOf(change);
    host.apply(change);
    if (change.kind === 'created') newcomers.add(change.domid);
    lines.add(change, name);
  }
}

follow({
  onOpen: () => {
    isFollowing = true;
    showState();
    void trying('version', showVersion);
    stats.soon(0);
  },
  onLost: () => {
    if (isFollowing) lines.note('lost', 'the connection to the service');
    isFollowing = false;
    failures.clear();
    showState();
  },
  onDomains: (domains) => {
    if (hasDomains) {
      lines.note('connected', `again, to a new feed with ${domains.length} domains`);
      tell(host.changesTo(domains));
    }
    host.replace(domains);
    hasDomains = true;
    details.soon(0);
    show();
  },
  onChanges: (changes) => {
    tell(changes);
    if (changes.some(({ kind }) => kind === 'created' || kind === 'renamed'))
      details.soon(NAMES_MS);
    show();
  },
});
