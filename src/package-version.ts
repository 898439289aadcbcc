/** Files of this package that are read at run time, and its version. */
import { readFileSync } from 'node:fs';

/** Reads a file of the package. @param path relative to the package's folder. */
export function readPackageFile(path: string): string {
  // From dist/src/.
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
}

/** Returns the version in package.json. */
export function packageVersion(): string {
  return (JSON.parse(readPackageFile('package.json')) as { version: string }).version;
}
