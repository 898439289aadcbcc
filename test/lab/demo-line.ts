/** Lines on the console by which dom0 passes output to the host, which prints it. */

const DEMO_LINE = 'demo: ';

const SIGN = {
  /** A VM starts: its name. */
  starting: '+',
  /** The next line of the screen. */
  screen: '|',
  /** The screen is complete; without a terminal, this prints it. */
  shown: '=',
  /** A line of text. */
  text: ' ',
} as const;

export type DemoKind = keyof typeof SIGN;
const KINDS = Object.keys(SIGN) as DemoKind[];

export interface DemoSaid {
  readonly kind: DemoKind;
  readonly text: string;
}

export function demoLine(kind: DemoKind, text: string): string {
  return `${DEMO_LINE}${SIGN[kind]}${text}\n`;
}

/** Returns the demonstration's message in a line of the console; undefined if it has none. */
export function readDemoLine(line: string): DemoSaid | undefined {
  if (!line.startsWith(DEMO_LINE)) return undefined;
  const [sign = '', text] = [line[DEMO_LINE.length], line.slice(DEMO_LINE.length + 1)];
  const kind = KINDS.find((one) => SIGN[one] === sign);
  return kind === undefined ? undefined : { kind, text };
}
