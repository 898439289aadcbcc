/** `xen-domid pool lookup`: prints the host and the domid of each UUID. */
import type { Pool, PoolHolder, PoolResult, PoolUnavailable } from '../../pool/pool.ts';
import type { Uuid } from '../../uuid.ts';
import { parseVmUuid } from '../../vm-uuid.ts';
import { type OptionValues, UsageError } from '../arguments.ts';
import { readUuids } from '../commands/lookup-input.ts';
import { ExitStatus, STATUS_OF } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { errorText } from '../terminal/error-text.ts';
import { askPool } from './connect.ts';

/** UUIDs of the input that are looked up at a time. */
const CHUNK = 500;

export async function lookup(
  io: Io,
  texts: readonly string[],
  options: OptionValues,
): Promise<ExitStatus> {
  if (texts.length === 0)
    throw new UsageError('pool lookup needs a UUID, or - to read UUIDs from standard input');
  const operands = texts.map((text) => (text === '-' ? '-' : parseVmUuid(text)));
  const readsInput = operands.includes('-');
  const several = readsInput || operands.length > 1;
  return askPool(io, options, async (pool) => {
    const printer = new Printer(io, pool, options.json, several);
    await printer.ask(operands.filter((operand): operand is Uuid => operand !== '-'));
    if (readsInput) await printer.askInput();
    return printer.status;
  });
}

class Printer {
  status: ExitStatus = ExitStatus.done;
  readonly #io: Io;
  readonly #pool: Pool;
  readonly #json: boolean;
  readonly #several: boolean;

  constructor(io: Io, pool: Pool, json: boolean, several: boolean) {
    this.#io = io;
    this.#pool = pool;
    this.#json = json;
    this.#several = several;
  }

  async ask(uuids: readonly Uuid[]): Promise<void> {
    const results = await this.#pool.lookupMany(uuids);
    results.forEach((result, index) => this.#print(uuids[index] as Uuid, result));
  }

  async askInput(): Promise<void> {
    const input = this.#io.input();
    let chunk: Uuid[] = [];
    try {
      for await (const { number, uuid, problem } of readUuids(input)) {
        if (uuid === undefined) {
          this.#io.err(`xen-domid: line ${number}: ${errorText(problem)}\n`);
          this.#raise(ExitStatus.usage);
        } else if (chunk.push(uuid) === CHUNK) {
          await this.ask(chunk);
          chunk = [];
        }
      }
      await this.ask(chunk);
    } finally {
      input.destroy();
    }
  }

  #raise(status: ExitStatus): void {
    if (status > this.status) this.status = status;
  }

  #print(uuid: Uuid, result: PoolResult): void {
    this.#raise(STATUS_OF[result.status]);
    const { out, err } = this.#io;
    if (this.#json) return out(`${JSON.stringify({ uuid, ...result })}\n`);
    switch (result.status) {
      case 'found': {
        const { host, domain } = result;
        return out(`${this.#several ? `${uuid} ` : ''}${host} ${domain.domid}\n`);
      }
      case 'notFound':
        return err(`xen-domid: no host has a domain with the UUID ${uuid}\n`);
      case 'ambiguous':
        return err(
          `xen-domid: more than one domain has the UUID ${uuid}: ${result.holders.map(placeOf).join(', ')}\n`,
        );
      default:
        return err(`xen-domid: ${uuid}: ${reasonOf(result)}\n`);
    }
  }
}

function placeOf({ host, domain }: PoolHolder): string {
  return `${host} ${domain.domid}`;
}

function reasonOf({ cause, hosts }: PoolUnavailable): string {
  switch (cause) {
    case 'silent-hosts':
      return `these hosts did not answer: ${hosts.map((silent) => `${silent.host} (${silent.cause})`).join(', ')}; a host that is retired is removed by "xen-domid pool forget"`;
    case 'no-hosts':
      return 'the pool knows no host: start "xen-domid pool serve" on each';
    case 'stale':
      return 'the NATS servers have sent no news of the hosts: check that they run, and that they agree on a leader';
    case 'moving':
      return 'it left a host each time the hosts were asked, or a host has just started: ask again';
    default:
      return 'the hosts did not answer in time: ask again';
  }
}
