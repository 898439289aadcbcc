// Writes the manual page, made from the tables of the help, to the file that is named.
// Its date is SOURCE_DATE_EPOCH, or that of the commit, so that one commit has one manual.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { manPage } from '../dist/src/cli/help/man.js';

const [file] = process.argv.slice(2);
const { version } = JSON.parse(readFileSync('package.json', 'utf8'));

function seconds() {
  const { SOURCE_DATE_EPOCH } = process.env;
  if (SOURCE_DATE_EPOCH !== undefined) return Number(SOURCE_DATE_EPOCH);
  return Number(execFileSync('git', ['log', '-1', '--format=%ct'], { encoding: 'utf8' }));
}

writeFileSync(file, manPage(version, new Date(seconds() * 1000).toISOString().slice(0, 10)));
