/** `npm run bench picture`: what `npm start` shows on a terminal, as it was on this machine just now, to `docs/demo.svg`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const COLUMNS = 92;
const LINE_PX = 18;
const CHARACTER_PX = 8.4;
const MARGIN_PX = 18;
/** Screens that are let pass: the figures of the first are those of a start. */
const SCREENS = 12;
const CTRL_C = '\u0003';
const CLEAR = '\u001b[H\u001b[2J';

const root = join(import.meta.dirname, '../..');

/** The last whole screen. `script` gives the program a terminal to draw on. */
async function screenOf(program: string): Promise<string> {
  const child = spawn('script', ['-qfec', `node ${program}`, '/dev/null'], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  let ended = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (ended || output.split(CLEAR).length <= SCREENS) return;
    ended = true;
    child.stdin.write(CTRL_C);
  });
  await once(child, 'close');
  return output.split(CLEAR)[SCREENS - 1] ?? '';
}

function svgOf(screen: string): string {
  const lines = ['$ npm start', '', ...screen.replaceAll('\r', '').trimEnd().split('\n')];
  const width = Math.ceil(COLUMNS * CHARACTER_PX + 2 * MARGIN_PX);
  const height = lines.length * LINE_PX + 2 * MARGIN_PX;
  const text = lines.map((line, at) => {
    const y = MARGIN_PX + (at + 0.75) * LINE_PX;
    return `<text xml:space="preserve" x="${MARGIN_PX}" y="${y}" class="${classOf(line)}">${escaped(line)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">
<title>What npm start shows</title>
<style>
  rect { fill: #16191d; }
  text { font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #d5dae0; white-space: pre; }
  .figure { fill: #8fd18f; }
  .change { fill: #8ab4d8; }
  .prompt { fill: #ffffff; font-weight: bold; }
</style>
<rect width="${width}" height="${height}" rx="8"/>
${text.join('\n')}
</svg>
`;
}

function classOf(line: string): string {
  if (line.startsWith('$ ')) return 'prompt';
  if (/^ {2}(created|renamed|shutdown|resumed|dying|destroyed) /.test(line)) return 'change';
  return line.startsWith('  ') ? 'figure' : 'text';
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

const screen = await screenOf(join(root, 'dist/src/cli/commands/demo.js'));
await writeFile(join(root, 'docs/demo.svg'), svgOf(screen));
process.stdout.write(screen);
