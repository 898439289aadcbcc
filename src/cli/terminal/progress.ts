/** A bar that shows how far a long command is, on a terminal alone. */

export interface ProgressBar {
  /** What is being done now. */
  name(text: string): void;
  update(done: number): void;
  stop(): void;
}

const NONE: ProgressBar = {
  name: () => undefined,
  update: () => undefined,
  stop: () => undefined,
};

/** On standard error, so that what the command prints stays whole. */
export async function openProgressBar(wanted: boolean, total: number): Promise<ProgressBar> {
  if (!wanted || !process.stderr.isTTY) return NONE;
  const { SingleBar, Presets } = (await import('cli-progress')).default;
  const format = '{bar} {percentage}% {name}';
  const bar = new SingleBar(
    { format, stream: process.stderr, clearOnComplete: true, hideCursor: true, barsize: 30 },
    Presets.shades_classic,
  );
  bar.start(total, 0, { name: '' });
  return {
    name: (name) => bar.update({ name }),
    update: (done) => bar.update(done),
    stop: () => bar.stop(),
  };
}
