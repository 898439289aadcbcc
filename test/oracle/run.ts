/** Runs scenarios, each with its own seed. */
import { runScenario, type ScenarioReport } from './scenario.ts';

export interface RunOptions {
  readonly seed: number;
  /** Ends with the first scenario after either is reached. */
  readonly lookups?: number;
  readonly seconds?: number;
  readonly onProgress?: (report: RunReport) => void;
}

export interface RunReport extends ScenarioReport {
  scenarios: number;
  seconds: number;
}

/** @throws Error with the violation, and with the seed that reproduces it. */
export async function runOracle(options: RunOptions): Promise<RunReport> {
  const { seed, lookups = Infinity, seconds = Infinity, onProgress } = options;
  const began = performance.now();
  const total: RunReport = {
    scenarios: 0,
    seconds: 0,
    lookups: 0,
    lists: 0,
    singles: 0,
    changes: 0,
    conflated: 0,
    resyncs: 0,
    answers: { found: 0, notFound: 0, ambiguous: 0, unavailable: 0 },
    waits: { reached: 0, late: 0, unavailable: 0 },
  };
  for (let scenario = seed; ; scenario++) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one host after the other
      const report = await runScenario(scenario);
      total.lookups += report.lookups;
      total.lists += report.lists;
      total.singles += report.singles;
      total.changes += report.changes;
      total.conflated += report.conflated;
      total.resyncs += report.resyncs;
      for (const [status, count] of Object.entries(report.answers)) {
        total.answers[status as keyof RunReport['answers']] += count;
      }
      for (const [end, count] of Object.entries(report.waits)) {
        total.waits[end as keyof RunReport['waits']] += count;
      }
    } catch (error) {
      throw new Error(
        `with ORACLE_SEED=${scenario} (number ${total.scenarios + 1}): ${String(error)}`,
        {
          cause: error,
        },
      );
    }
    total.scenarios++;
    total.seconds = (performance.now() - began) / 1000;
    onProgress?.(total);
    if (total.lookups >= lookups || total.seconds >= seconds) return total;
  }
}

/** Returns the trace of one scenario, up to its violation if there is one. */
export async function traceOf(seed: number): Promise<string[]> {
  const lines: string[] = [];
  try {
    await runScenario(seed, (line) => lines.push(line));
  } catch (error) {
    lines.push(error instanceof Error ? (error.stack ?? String(error)) : String(error));
  }
  return lines;
}

export function describeReport(report: RunReport): string {
  const { scenarios, seconds, lookups, lists, singles, changes, answers, waits } = report;
  const { conflated, resyncs } = report;
  return `${lookups} look-ups (${counted(answers)}), waits (${counted(waits)}), ${singles} single looks, ${lists} lists, ${changes} changes, ${conflated} conflated batches and ${resyncs} resyncs in ${scenarios} scenarios, ${seconds.toFixed(1)} s`;
}

function counted(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ');
}
