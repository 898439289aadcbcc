/** How dom0 tells the host what the demonstration shows. */

const DEMO_LINE = 'demo: ';

const SIGN = {
  /** A VM is being started: its name. */
  starting: '+',
  /** A line of the screen that is to be shown next. */
  screen: '|',
  /** All of that screen was told; what is shown of it where there is no terminal. */
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

/** What a line of the console says of the demonstration; undefined where it says nothing of it. */
export function readDemoLine(line: string): DemoSaid | undefined {
  if (!line.startsWith(DEMO_LINE)) return undefined;
  const [sign = '', text] = [line[DEMO_LINE.length], line.slice(DEMO_LINE.length + 1)];
  const kind = KINDS.find((one) => SIGN[one] === sign);
  return kind === undefined ? undefined : { kind, text };
}
