/** `xen-domid lookup`: the domid of each UUID. */
import type { InventoryClient } from '../../client/client.ts';
import type { DomidResult, LookupResult, Unavailable } from '../../results.ts';
import type { Uuid } from '../../uuid.ts';
import { connect, type ConnectOptions, orDirect } from '../connect.ts';
import { errorText } from '../terminal/error-text.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { parseVmUuid } from '../../vm-uuid.ts';

export interface LookupCommand extends ConnectOptions {
  readonly json: boolean;
  readonly direct: boolean;
}

const STATUS = {
  found: ExitStatus.done,
  notFound: ExitStatus.notFound,
  ambiguous: ExitStatus.ambiguous,
  unavailable: ExitStatus.unavailable,
} as const;

/** Questions on their way at a time. The service reads no more than 1024 of one connection before it has answered. */
const MOST_AT_ONCE = 512;

export async function lookup(
  io: Io,
  texts: readonly string[],
  options: LookupCommand,
): Promise<ExitStatus> {
  const fromInput = texts.includes('-');
  if (!fromInput && (await takesPrefix(io, texts))) {
    return (await import('./prefix.ts')).lookupPrefix(io, texts[0] as string, options);
  }
  // One that is none shall be told of before anything is asked.
  const uuids = texts.map((text) => (text === '-' ? '-' : parseVmUuid(text)));
  if (options.direct) {
    return (await import('./lookup-direct.ts')).lookupDirectly(io, uuids, options.json);
  }
  const client = await connect(io, options);
  const asker = new Asker(io, client, options.json, fromInput || uuids.length > 1);
  try {
    for (const uuid of uuids) if (uuid !== '-') asker.ask(uuid);
    if (fromInput) await (await import('./lookup-input.ts')).askInput(io, asker);
    return await asker.done();
  } catch (error) {
    throw orDirect(error);
  } finally {
    await client.close();
  }
}

async function takesPrefix(io: Io, [text, ...others]: readonly string[]): Promise<boolean> {
  if (text === undefined || text.length >= 36 || others.length > 0) return false;
  return (
    io.inputIsTerminal() && io.outputIsTerminal() && (await import('./prefix.ts')).isPrefix(text)
  );
}

/** Asks, and prints the answers in the order of asking as soon as they are there. */
export class Asker {
  /** Rejected as soon as an answer shows that there is no service. */
  readonly failure: Promise<never>;
  status: ExitStatus = ExitStatus.done;
  readonly #io: Io;
  readonly #client: InventoryClient;
  readonly #json: boolean;
  readonly #several: boolean;
  #fail: (error: unknown) => void = () => undefined;
  #waiting = 0;
  #printed: Promise<void> = Promise.resolve();

  constructor(io: Io, client: InventoryClient, json: boolean, several: boolean) {
    this.#io = io;
    this.#client = client;
    this.#json = json;
    this.#several = several;
    this.failure = new Promise((_, reject) => (this.#fail = reject));
    this.failure.catch(() => undefined);
  }

  get busy(): boolean {
    return this.#waiting >= MOST_AT_ONCE;
  }

  ask(uuid: Uuid): void {
    const answer = this.#json ? this.#client.lookup(uuid) : this.#client.domid(uuid);
    this.#waiting++;
    this.#printed = Promise.all([answer, this.#printed]).then(([result]) => {
      this.#waiting--;
      this.#print(uuid, result);
    });
    this.#printed.catch(this.#fail);
  }

  raise(status: ExitStatus): void {
    if (status > this.status) this.status = status;
  }

  /** All that was asked has been printed. @throws XenError where the service is not there to answer. */
  async done(): Promise<ExitStatus> {
    await this.#printed;
    return this.status;
  }

  #print(uuid: Uuid, result: LookupResult | DomidResult): void {
    if (result.status === 'unavailable') throwUnlessHypervisor(result);
    this.raise(STATUS[result.status]);
    if (this.#json) {
      const { error: _, ...plain } = { error: undefined, ...result };
      this.#io.out(`${JSON.stringify({ uuid, ...plain })}\n`);
      return;
    }
    switch (result.status) {
      case 'found': {
        const domid = 'domid' in result ? result.domid : result.domain.domid;
        this.#io.out(this.#several ? `${uuid} ${domid}\n` : `${domid}\n`);
        break;
      }
      case 'notFound':
        this.#io.err(`xen-domid: no domain has the UUID ${uuid}\n`);
        break;
      case 'ambiguous': {
        const domids =
          'domids' in result ? result.domids : result.domains.map(({ domid }) => domid);
        const list = domids.join(', ');
        this.#io.err(`xen-domid: more than one domain has the UUID ${uuid}: domids ${list}\n`);
        break;
      }
      case 'unavailable':
        this.#io.err(`xen-domid: ${uuid}: ${whyOf(result)}\n`);
    }
  }
}

function whyOf({ cause, error }: Unavailable): string {
  return error === undefined ? cause : errorText(error);
}

/** Without a service there is no use in going on; with one, another UUID may well be answered. */
function throwUnlessHypervisor({ cause, error }: Unavailable): void {
  if (error !== undefined && cause.startsWith('ERR_SERVICE_')) throw error;
}
