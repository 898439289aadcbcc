// `node packaging/lock-with-pool.mjs FOLDER`: makes the packages for the pool dependencies like the others, in package.json and
// package-lock.json of FOLDER, so that `npm ci --omit=dev` installs them too, and checks their sums. For hosts without npm.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

function edit(name, change) {
  const file = join(process.argv[2] ?? '.', name);
  const json = JSON.parse(readFileSync(file, 'utf8'));
  change(json);
  writeFileSync(file, `${JSON.stringify(json, undefined, 2)}\n`);
}

function adopt(root) {
  for (const [name, version] of Object.entries(root.peerDependencies)) {
    root.dependencies[name] = version;
    delete root.devDependencies[name];
  }
  delete root.peerDependencies;
  delete root.peerDependenciesMeta;
}

edit('package.json', adopt);
edit('package-lock.json', ({ packages }) => {
  const wanted = Object.keys(packages[''].peerDependencies);
  adopt(packages['']);
  for (const name of wanted) {
    const entry = packages[`node_modules/${name}`];
    delete entry.dev;
    wanted.push(...Object.keys(entry.dependencies ?? {}));
  }
});
