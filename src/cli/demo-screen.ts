/** The demonstration's one screen on a terminal, and its lines in a pipe. */
import type { WriteStream } from 'node:tty';
import type { DemoView } from './demo-figures.ts';

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR = '\u001b[H\u001b[2J';

export class Screen {
  readonly isTerminal: boolean;
  readonly #out: WriteStream;
  readonly #socket: string;

  constructor(out: WriteStream, socket: string) {
    this.#out = out;
    this.#socket = socket;
    this.isTerminal = out.isTTY;
    if (this.isTerminal) out.write(HIDE_CURSOR);
  }

  draw(view: DemoView): void {
    this.#out.write(this.isTerminal ? `${CLEAR}${this.#screen(view)}` : lineOf(view));
  }

  leave(): void {
    if (this.isTerminal) this.#out.write(`${SHOW_CURSOR}\n`);
  }

  #screen(view: DemoView): string {
    const changes = view.changes.map(
      ({ kind, domid, uuid }) => `  ${kind.padEnd(9)} ${String(domid).padStart(5)}  ${uuid}\n`,
    );
    return `xen-domid on a SIMULATED host: VMs come and go, and are asked for.
Ctrl-C ends it. With a Xen: xen-domid serve, as root in dom0.

  VMs                   ${view.vms}
  look-ups a second     ${Math.round(view.lookupsASecond)}
  latency p50, p99      ${view.medianMs.toFixed(2)} ms, ${view.p99Ms.toFixed(2)} ms
  hypercalls a look-up  ${view.hypercallsALookup.toFixed(3)}, each answer confirmed while its asker waited
  lists of all domains  ${view.lists} since the start
  wrong answers         ${view.wrong}

Ask it yourself:  npx xen-domid list --socket ${this.#socket}

What becomes of domains:
${changes.join('')}`;
  }
}

function lineOf(view: DemoView): string {
  const last = view.changes.at(-1);
  const change = last === undefined ? '' : `; last: domain ${last.domid} ${last.kind}`;
  return `simulated host, ${view.vms} VMs: ${Math.round(view.lookupsASecond)} look-ups a second, p50 ${view.medianMs.toFixed(2)} ms, ${view.hypercallsALookup.toFixed(3)} hypercalls a look-up, ${view.lists} lists, ${view.wrong} wrong${change}\n`;
}
