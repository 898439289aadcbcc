/** The version that the package says it has. */
import { createRequire } from 'node:module';

export function packageVersion(): string {
  const manifest = createRequire(import.meta.url)('xen-domid/package.json') as { version: string };
  return manifest.version;
}
