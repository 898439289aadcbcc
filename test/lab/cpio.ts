/** Archives in the format that Linux unpacks at boot. */
import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';

/** Writes all of `root` into `archive`, owned by root for any user. */
export async function writeCpio(root: string, archive: string): Promise<void> {
  const file = await open(archive, 'w');
  try {
    const packing = spawn(
      'sh',
      [
        '-c',
        'find . -mindepth 1 -print0 | LC_ALL=C sort -z | cpio --null -o -H newc -R 0:0 --quiet',
      ],
      { cwd: root, stdio: ['ignore', file.fd, 'inherit'] },
    );
    const status = await new Promise<number | null>((resolve, reject) => {
      packing.on('error', reject);
      packing.on('close', resolve);
    });
    if (status !== 0) throw new Error(`cpio of ${root}: exit ${status}`);
  } finally {
    await file.close();
  }
}
