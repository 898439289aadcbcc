/** `npm run bench picture`: writes the screen of `npm start`, with its colours, to `docs/demo.svg`. Needs tmux. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const COLUMNS = 80;
const ROWS = 40;
/** The first figures are those of a cold start. */
const WARM_UP_MS = 8000;
const POLL_MS = 100;

const FONT_PX = 14;
const LINE_PX = 18;
const CHARACTER_PX = 8.4;
const MARGIN_PX = 18;

/** Colours 0 to 15 of a dark terminal. */
const PALETTE =
  '#3b4048 #e57373 #8fd18f #e6c07b #8ab4d8 #c792ea #7fd1d1 #d5dae0 #7a828e #ff8a80 #a5e6a5 #ffe082 #a9d1f7 #e1b3ff #a0eaea #ffffff'.split(
    ' ',
  );
const CONTROL_SEQUENCE = '\u001b[';
const FOREGROUND = '#d5dae0';
const BACKGROUND = '#16191d';

interface Style {
  readonly colour?: string | undefined;
  readonly background?: string | undefined;
  readonly bold?: boolean;
  readonly dim?: boolean;
  readonly italic?: boolean;
  readonly underline?: boolean;
  readonly reverse?: boolean;
}

interface Run {
  readonly text: string;
  readonly style: Style;
}

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
/** A tmux server of its own, so that no configuration and no other session is touched. */
const SERVER = `xen-domid-picture-${process.pid}`;

async function tmux(...argv: readonly string[]): Promise<string> {
  const { stdout } = await run('tmux', ['-L', SERVER, '-f', '/dev/null', ...argv]);
  return stdout;
}

/** Returns the screen of a program at a terminal, with its escape sequences, and ends the program by Ctrl-C. */
async function screenOf(program: string): Promise<string> {
  const size = ['-x', String(COLUMNS), '-y', String(ROWS)];
  await tmux('new-session', '-d', ...size, '-c', root, `exec '${process.execPath}' '${program}'`);
  await sleep(WARM_UP_MS);
  const screen = await tmux('capture-pane', '-e', '-p');
  await tmux('send-keys', 'C-c');
  while (await isRunning()) await sleep(POLL_MS);
  return screen;
}

/** The tmux server ends with its only session, and so with the program. */
function isRunning(): Promise<boolean> {
  return tmux('has-session').then(
    () => true,
    () => false,
  );
}

/** Splits a screen into lines, and lines into runs of one style. A style continues on the next line. */
function linesOf(screen: string): Run[][] {
  let style: Style = {};
  return screen
    .trimEnd()
    .split('\n')
    .map((line) =>
      line.split(CONTROL_SEQUENCE).flatMap((part, at) => {
        const [sequence = '', codes = ''] = (at > 0 && /^([\d;:]*)m/.exec(part)) || [];
        if (sequence !== '') style = styled(style, codes);
        const text = part.slice(sequence.length);
        return text === '' ? [] : [{ text, style }];
      }),
    );
}

/** Applies the codes of one SGR sequence (ECMA-48, 8.3.117) to a style. */
function styled(before: Style, codes: string): Style {
  let style = before;
  const rest = codes.split(/[;:]/).map(Number);
  for (let code = rest.shift(); code !== undefined; code = rest.shift()) {
    if (code === 0) style = {};
    else if (code === 1) style = { ...style, bold: true };
    else if (code === 2) style = { ...style, dim: true };
    else if (code === 3) style = { ...style, italic: true };
    else if (code === 4) style = { ...style, underline: true };
    else if (code === 7) style = { ...style, reverse: true };
    else if (code === 22) style = { ...style, bold: false, dim: false };
    else if (code === 23) style = { ...style, italic: false };
    else if (code === 24) style = { ...style, underline: false };
    else if (code === 27) style = { ...style, reverse: false };
    else if (code >= 30 && code <= 39) style = { ...style, colour: colourOf(code - 30, rest) };
    else if (code >= 40 && code <= 49) style = { ...style, background: colourOf(code - 40, rest) };
    else if (code >= 90 && code <= 97) style = { ...style, colour: PALETTE[code - 82] };
    else if (code >= 100 && code <= 107) style = { ...style, background: PALETTE[code - 92] };
  }
  return style;
}

/** Colours 0 to 7; 8 takes the colour from the next codes; 9 is the terminal's own. */
function colourOf(index: number, rest: number[]): string | undefined {
  if (index !== 8) return PALETTE[index === 9 ? PALETTE.length : index];
  if (rest.shift() === 2) return `rgb(${rest.splice(0, 3).join(', ')})`;
  return indexed(rest.shift() ?? 0);
}

/** The 256 colours of xterm: 16 of the palette, a cube of 6 x 6 x 6, 24 greys. */
function indexed(index: number): string | undefined {
  if (index < 16) return PALETTE[index];
  if (index >= 232) return rgb([0, 0, 0].map(() => 8 + 10 * (index - 232)));
  return rgb([36, 6, 1].map((weight) => level(Math.floor((index - 16) / weight) % 6)));
}

function level(step: number): number {
  return step === 0 ? 0 : 55 + 40 * step;
}

function rgb(parts: readonly number[]): string {
  return `rgb(${parts.join(', ')})`;
}

function svgOf(lines: readonly (readonly Run[])[]): string {
  const width = Math.ceil(COLUMNS * CHARACTER_PX + 2 * MARGIN_PX);
  const height = lines.length * LINE_PX + 2 * MARGIN_PX;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">
<title>The screen of npm start</title>
<style>
  text { font: ${FONT_PX}px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre; }
</style>
<rect width="${width}" height="${height}" rx="8" fill="${BACKGROUND}"/>
${lines.flatMap(elementsOf).join('\n')}
</svg>
`;
}

/** Each run starts at its own column, so that a font of another width does not shift the runs after it. */
function elementsOf(runs: readonly Run[], at: number): string[] {
  let column = 0;
  return runs.flatMap(({ text, style }) => {
    const x = MARGIN_PX + column * CHARACTER_PX;
    const width = text.length * CHARACTER_PX;
    column += text.length;
    const { colour = FOREGROUND, background = BACKGROUND } = style;
    const [fill, behind] = style.reverse === true ? [background, colour] : [colour, background];
    const top = MARGIN_PX + at * LINE_PX;
    const box = `<rect x="${px(x)}" y="${top}" width="${px(width)}" height="${LINE_PX}" fill="${behind}"/>`;
    const baseline = top + 0.75 * LINE_PX;
    const line = `<text xml:space="preserve" x="${px(x)}" y="${baseline}" fill="${fill}"${attributesOf(style)}>${escaped(text)}</text>`;
    return [...(behind === BACKGROUND ? [] : [box]), ...(text.trim() === '' ? [] : [line])];
  });
}

function attributesOf({ bold, dim, italic, underline }: Style): string {
  const attributes = [
    bold === true && 'font-weight="bold"',
    dim === true && 'opacity="0.6"',
    italic === true && 'font-style="italic"',
    underline === true && 'text-decoration="underline"',
  ];
  return attributes.map((attribute) => (attribute === false ? '' : ` ${attribute}`)).join('');
}

function px(length: number): string {
  return String(Number(length.toFixed(2)));
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

const screen = await screenOf(join(root, 'dist/src/cli/demo/demo.js'));
const prompt: readonly Run[] = [{ text: '$ npm start', style: { bold: true } }];
await writeFile(join(root, 'docs/demo.svg'), svgOf([prompt, [], ...linesOf(screen)]));
process.stdout.write(`${screen.trimEnd()}\n`);
