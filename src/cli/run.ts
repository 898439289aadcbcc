/** Runs the command line in this process. */
import { main } from './main.ts';
import { processIo } from './process-io.ts';

export async function run(argv: readonly string[]): Promise<void> {
  process.exitCode = await main(argv, processIo);
}
