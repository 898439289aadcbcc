// Enters into package-lock.json the foreign-platform optional packages that a registry mirror may lack:
// npm leaves out of the lock what it could not look up, and `npm ci` then refuses the lock as incomplete.
import { readFileSync, writeFileSync } from 'node:fs';

const OS = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
];
const CPU = [
  'arm',
  'arm64',
  'ia32',
  'loong64',
  'mips64el',
  'ppc64',
  'ppc64le',
  'riscv64',
  's390x',
  'wasm32',
  'x64',
];

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
const entered = [];

for (const owner of Object.values({ ...lock.packages })) {
  for (const [name, range] of Object.entries(owner.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    if (key in lock.packages) continue;
    const words = name.replaceAll('_', '-').split(/[-/@]/);
    const cpu = CPU.filter((word) => words.includes(word));
    if (cpu.length === 0) continue;
    const os = OS.filter((word) => words.includes(word));
    lock.packages[key] = {
      version: range.replace(/^[^0-9]*/, ''),
      cpu,
      ...(owner.dev && { dev: true }),
      ...(owner.license && { license: owner.license }),
      optional: true,
      ...(os.length > 0 && { os }),
      ...(words.includes('musl') && { libc: ['musl'] }),
    };
    entered.push(name);
  }
}

const [root, ...others] = Object.entries(lock.packages);
lock.packages = Object.fromEntries([root, ...others.sort(([a], [b]) => (a < b ? -1 : 1))]);
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(
  `package-lock.json: entered ${entered.length} packages of other platforms\n${entered.map((name) => `  ${name}\n`).join('')}`,
);
