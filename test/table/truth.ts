/**
 * The state of a simulated host in a file, for readers in other processes to confirm hints by: the step of the last change
 * that may show, the step of the last change that does, then for each domid 32 bytes: a number that is odd while the rest is
 * written, 1 if the domain is there and not dying, the handle.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { DOMID_FIRST_RESERVED } from '../../src/domain.ts';
import type { SimulatedHost } from '../../src/simulator/index.ts';
import { writeUuid } from '../../src/uuid.ts';

const HEADER_BYTES = 64;
const RECORD_BYTES = 32;

export class Truth {
  readonly #fd: number;
  readonly #host: SimulatedHost;
  readonly #sequences = new Uint32Array(DOMID_FIRST_RESERVED);

  /** The step of the last change that shows. */
  step = 0;

  constructor(path: string, host: SimulatedHost) {
    this.#fd = openSync(path, 'w+');
    this.#host = host;
    writeSync(this.#fd, Buffer.alloc(HEADER_BYTES + DOMID_FIRST_RESERVED * RECORD_BYTES));
  }

  /** Does something to one domid of the host, and shows it. */
  act(run: () => number): void {
    const domid = run();
    this.#write(0, this.#host.now);
    const record = new DataView(new ArrayBuffer(RECORD_BYTES));
    const at = HEADER_BYTES + domid * RECORD_BYTES;
    const sequence = (this.#sequences[domid] ?? 0) + 2;
    this.#sequences[domid] = sequence;
    this.#write(at, sequence - 1);
    const domain = this.#host.get(domid);
    if (domain !== undefined && domain.stage !== 'dead') {
      record.setUint32(4, 1, true);
      writeUuid(record, 8, domain.uuid);
    }
    writeSync(this.#fd, new Uint8Array(record.buffer), 4, RECORD_BYTES - 4, at + 4);
    this.#write(at, sequence);
    this.step = this.#host.now;
    this.#write(4, this.step);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #write(at: number, value: number): void {
    writeSync(this.#fd, Uint32Array.of(value), 0, 4, at);
  }
}
