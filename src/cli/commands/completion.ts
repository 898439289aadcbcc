/** `xen-domid completion`: prints a script that completes words in a shell. The scripts ask for the UUIDs by `uuids`. */
import { namesNoVm } from '../../vm-uuid.ts';
import { SHELLS, UsageError } from '../arguments.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { printable, printableJson } from '../../printable.ts';

/** A person waits at a prompt. */
const UUIDS_TIMEOUT_MS = 1000;

export async function completion(io: Io, operands: readonly string[]): Promise<ExitStatus> {
  const [shell = '', ...others] = operands;
  if (shell === 'uuids' && others.length === 0) return printUuids(io);
  io.out(await scriptOf(shell, others));
  return ExitStatus.done;
}

async function scriptOf(shell: string, others: readonly string[]): Promise<string> {
  const known = SHELLS.find((name) => name === shell);
  if (known === undefined || others.length > 0) {
    throw new UsageError(
      `completion needs one of ${SHELLS.join(', ')}, not ${printableJson([shell, ...others].join(' '))}; for example: xen-domid completion bash`,
    );
  }
  switch (known) {
    case 'bash':
      return (await import('../help/bash.ts')).bashCompletion();
    case 'zsh':
      return (await import('../help/zsh.ts')).zshCompletion();
    default:
      return (await import('../help/fish.ts')).fishCompletion();
  }
}

/** Prints a line for each VM: its UUID, a tab, and its domid and name. Without a service prints nothing, as nobody asked. */
async function printUuids(io: Io): Promise<ExitStatus> {
  // A completed word is no answer: the command that gets it refuses a simulated host itself.
  const client = await io.connect({ retry: false, acceptSimulated: true });
  try {
    const { domains } = await client.list({ names: true, timeoutMs: UUIDS_TIMEOUT_MS });
    const vms = domains.filter(({ uuid, dying }) => !dying && !namesNoVm(uuid));
    const lines = vms.map(
      ({ uuid, domid, name = '-' }) => `${uuid}\tdomain ${domid}, ${printable(name)}\n`,
    );
    io.out(lines.join(''));
    return ExitStatus.done;
  } catch {
    return ExitStatus.unavailable;
  } finally {
    await client.close();
  }
}
