/** The oracle for as long as is asked for: `npm run test:soak [-- minutes]`, ten of them where nothing is said. */
import { describeReport, runOracle, traceOf } from './oracle/run.ts';

const minutes = Number(process.argv[2] ?? 10);
if (!(minutes > 0)) {
  process.stderr.write('npm run test:soak [-- minutes]\n');
  process.exit(2);
}
const seed = Number(process.env['ORACLE_SEED'] ?? Math.trunc(Math.random() * 2 ** 31));
const seconds = 60 * minutes;
let shown = 0;

function progress(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${text}` : `${text}\n`);
}

try {
  const report = await runOracle({
    seed,
    seconds,
    onProgress: (sofar) => {
      if (sofar.seconds - shown < (process.stderr.isTTY ? 0.5 : 30)) return;
      shown = sofar.seconds;
      const share = Math.min(100, (100 * sofar.seconds) / seconds).toFixed(0);
      progress(`${share} %: ${describeReport(sofar)}`);
    },
  });
  progress('');
  process.stdout.write(`seed ${seed}: ${describeReport(report)}, nothing found\n`);
} catch (error) {
  progress('');
  const failed = Number(/ORACLE_SEED=(\d+)/.exec(String(error))?.[1] ?? seed);
  process.stdout.write(`${(await traceOf(failed)).slice(-100).join('\n')}\n${String(error)}\n`);
  process.exitCode = 1;
}
