/** The world as a process sees it. What is slow to load is loaded by who asks for it. */
import type { Io } from './io.ts';

// A reader that has seen enough, as `head`, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

export const processIo: Io = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  openHypervisor: async () => (await import('../hypervisor/open.ts')).openHypervisor(),
  openXenstore: async () => (await import('../xenstore/xenstore.ts')).Xenstore.open(),
};
