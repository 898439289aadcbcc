/** Debian packages of any suite, downloaded with a separate apt state and unpacked, never installed. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { CACHE } from './cache.ts';
import type { Architecture } from './release.ts';
import { run } from './run.ts';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

interface Mirrors {
  readonly main: string;
  /** undefined if the machine has no security archive configured. */
  readonly security: string | undefined;
}

/** Codename of this machine's Debian. */
export async function machineSuite(): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const codename = /^VERSION_CODENAME="?(\w+)"?$/m.exec(release)?.[1];
  if (codename === undefined || !/^ID="?debian"?$/m.test(release)) {
    throw new Error(
      'The lab takes Xen, its kernel and its libraries from Debian: it needs a Debian machine.',
    );
  }
  return codename;
}

/** Mirrors of this machine's own apt. */
async function mirrors(): Promise<Mirrors> {
  const codename = await machineSuite();
  const targets = await run('apt-get', [
    'indextargets',
    '--format',
    '$(REPO_URI) $(CODENAME)',
    'Created-By: Packages',
  ]);
  const uriOf = new Map(
    targets
      .split('\n')
      .map((line) => line.split(' '))
      .map(([uri, name]) => [name ?? '', uri ?? '']),
  );
  const main = uriOf.get(codename);
  if (main === undefined) {
    throw new Error(
      `apt knows no mirror of ${codename}. Have /etc/apt/sources.list.d name one, and run: apt-get update`,
    );
  }
  return { main, security: uriOf.get(`${codename}-security`) };
}

/** Lines of a sources.list for `suite`, from the mirrors of this machine. */
export async function sourcesOf(suite: string): Promise<string[]> {
  const { main, security } = await mirrors();
  const signed = existsSync(KEYRING) ? ` [signed-by=${KEYRING}]` : '';
  const lines = [`deb${signed} ${main} ${suite} main`];
  if (security !== undefined) lines.push(`deb${signed} ${security} ${suite}-security main`);
  return lines;
}

/** An apt that sees one suite and nothing of the machine's state. */
class Apt {
  readonly #options: readonly string[];

  private constructor(options: readonly string[]) {
    this.#options = options;
  }

  static async of(suite: string, architecture: Architecture, directory: string): Promise<Apt> {
    await mkdir(join(directory, 'lists', 'partial'), { recursive: true });
    await mkdir(join(directory, 'cache', 'archives', 'partial'), { recursive: true });
    await writeFile(join(directory, 'status'), '');
    const sources = join(directory, 'sources.list');
    const options: Record<string, string> = {
      'Dir::Etc::sourcelist': sources,
      'Dir::Etc::sourceparts': '-',
      'Dir::State::Lists': join(directory, 'lists'),
      'Dir::State::status': join(directory, 'status'),
      'Dir::Cache': join(directory, 'cache'),
      'APT::Architecture': architecture,
      'APT::Architectures': architecture,
      'APT::Sandbox::User': 'root',
      'Acquire::Languages': 'none',
      'Acquire::Retries': '3',
      // Archived suites have passed their expiry date.
      'Acquire::Check-Valid-Until': 'false',
    };
    const apt = new Apt(
      Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`]),
    );
    const lines = await sourcesOf(suite);
    await writeFile(sources, `${lines.join('\n')}\n`);
    try {
      await apt.get('update', '--error-on=any');
    } catch (error) {
      if (lines.length === 1) throw error;
      // An unsupported suite may have no security archive any more.
      await writeFile(sources, `${lines[0]}\n`);
      await apt.get('update', '--error-on=any');
    }
    return apt;
  }

  async get(...args: readonly string[]): Promise<string> {
    return run('apt-get', [...this.#options, '-qq', ...args]);
  }

  async download(packages: readonly string[], into: string): Promise<void> {
    await run('apt-get', [...this.#options, '-qq', 'download', ...packages], { cwd: into });
  }

  async cache(...args: readonly string[]): Promise<string> {
    return run('apt-cache', [...this.#options, ...args]);
  }
}

const apts = new Map<string, Promise<Apt>>();

/** The path is unique to this process, so that two processes never share a state. */
function stateOf(name: string): string {
  return join(CACHE, `apt-${name}-${process.pid}`);
}

async function aptOf(suite: string, architecture: Architecture = 'amd64'): Promise<Apt> {
  const name = `${suite}-${architecture}`;
  let apt = apts.get(name);
  if (apt === undefined) {
    apt = Apt.of(suite, architecture, stateOf(name));
    apts.set(name, apt);
  }
  return apt;
}

let users = 0;

/** Runs `work`; removes its apt states when no other work in this process uses them. */
export async function withApt<T>(work: () => Promise<T>): Promise<T> {
  users += 1;
  try {
    return await work();
  } finally {
    users -= 1;
    if (users === 0) {
      const states = [...apts.keys()].map(stateOf);
      apts.clear();
      await Promise.all(states.map((state) => rm(state, { recursive: true, force: true })));
    }
  }
}

/** Downloads `packages` of `suite` and unpacks them all into `root`. */
export async function unpack(
  suite: string,
  packages: readonly string[],
  root: string,
  architecture?: Architecture,
): Promise<void> {
  const apt = await aptOf(suite, architecture);
  const downloads = `${root}.debs`;
  await mkdir(downloads, { recursive: true });
  await mkdir(root, { recursive: true });
  await apt.download(packages, downloads);
  for (const file of await readdir(downloads)) {
    await run('dpkg', ['-x', join(downloads, file), root]);
  }
  await rm(downloads, { recursive: true });
}

/** Returns the package that `metapackage` stands for in `suite`. */
export async function dependencyOf(
  suite: string,
  metapackage: string,
  architecture?: Architecture,
): Promise<string> {
  const apt = await aptOf(suite, architecture);
  const answer = await apt.cache('depends', metapackage);
  const dependency = /^\s*Depends: (\S+)$/m.exec(answer)?.[1];
  if (dependency === undefined) throw new Error(`${metapackage} of ${suite} depends on nothing`);
  return dependency;
}

/** Returns `name` and all packages of `suite` that it needs. */
export async function closureOf(
  suite: string,
  name: string,
  architecture?: Architecture,
): Promise<string[]> {
  const apt = await aptOf(suite, architecture);
  const plan = await apt.get('install', '--simulate', '--no-install-recommends', name);
  return [...plan.matchAll(/^Inst (\S+)/gm)].map(([, one = '']) => one);
}

async function libcVersion(suite: string): Promise<string> {
  const answer = await (await aptOf(suite)).cache('policy', 'libc6');
  return /Candidate: (\S+)/.exec(answer)?.[1] ?? '0';
}

/** Returns the newer of two suites, by their versions of glibc. */
export async function newerSuite(one: string, other: string): Promise<string> {
  if (one === other) return one;
  const versions = [await libcVersion(one), 'ge', await libcVersion(other)];
  return run('dpkg', ['--compare-versions', ...versions]).then(
    () => one,
    () => other,
  );
}
