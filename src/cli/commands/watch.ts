/** `xen-domid watch`: prints a line for each change, until interrupted, or runs a command for each. */
import type { Domain } from '../../domain.ts';
import type { Change, FeedBatch, Token } from '../../change.ts';
import type { InventoryClient } from '../../client/client.ts';
import type { Uuid } from '../../uuid.ts';
import { namesNoVm } from '../../vm-uuid.ts';
import { UsageError } from '../arguments.ts';
import { connect, type ConnectOptions } from '../connect.ts';
import { withCode } from '../terminal/error-text.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { printable, printableJson } from '../../printable.ts';
import { linesOf } from './change-text.ts';
import { resolveUuids } from './operands.ts';
import { changesSince } from './resync.ts';

export interface WatchCommand extends ConnectOptions {
  readonly json: boolean;
  readonly since?: string;
  readonly uuid?: string;
  readonly exec?: string;
}

/** A token of the feed: its epoch and a revision. */
const TOKEN = /^[\da-f]{16}:\d{1,15}$/;

/** Takes the changes of one batch; resolves once they are printed, or the command has run for each. */
type Report = (changes: readonly Change[], token: Token) => Promise<void> | void;

/** Survives a restart of the service: reports the differences of the new snapshot afterwards. */
export async function watch(io: Io, options: WatchCommand): Promise<ExitStatus> {
  const { since, uuid: text, exec } = options;
  if (since !== undefined) checkToken(since);
  const uuids = await resolveUuids(io, text === undefined ? [] : [text], {
    ...options,
    direct: false,
  });
  if (typeof uuids === 'number') return uuids;
  const signal = io.interrupted();
  const print: Report = (changes, token) =>
    io.out(linesOf(changes, token, { json: options.json, columns: io.columns() }));
  const report =
    exec === undefined ? print : (await import('./watch-exec.ts')).execReport(io, exec, signal);
  const client = await connect(io, options);
  try {
    const follower = new Follower(io, client, uuids, report);
    const status = await follower.follow(since, signal);
    if (status === ExitStatus.done && io.outputIsTerminal() && follower.token !== undefined) {
      io.err(
        `xen-domid: for the changes from here on: xen-domid watch --since ${follower.token}\n`,
      );
    }
    return status;
  } finally {
    await client.close();
  }
}

class Follower {
  /** The place in the feed behind the last change that was reported. */
  token: Token | undefined;
  readonly #io: Io;
  readonly #client: InventoryClient;
  readonly #uuids: readonly Uuid[];
  readonly #report: Report;
  /** The domains after the last batch. */
  readonly #known = new Map<number, Domain>();

  /** @param uuids those to report; none for all. */
  constructor(io: Io, client: InventoryClient, uuids: readonly Uuid[], report: Report) {
    this.#io = io;
    this.#client = client;
    this.#uuids = uuids;
    this.#report = report;
  }

  /** Ends when interrupted, or where the service no longer has the changes since the token, which is reported. */
  async follow(since: Token | undefined, signal: AbortSignal): Promise<ExitStatus> {
    const listed = since === undefined ? undefined : await this.#begin(since);
    const batches = this.#client.subscribe({
      signal,
      ...(since !== undefined && { token: since }),
      onDisconnected: (error) =>
        this.#io.err(
          `xen-domid: ${withCode(`${printable(error.message)}. Reconnecting...`, error)}\n`,
        ),
      onConnected: () => this.#io.err('xen-domid: reconnected\n'),
    });
    let isFirst = true;
    for await (const batch of batches) {
      // Without a change since the token, the list that was made at the beginning has the domains of that token.
      const isGone = isFirst && batch.kind === 'resync' && listed !== since;
      if (since !== undefined && isGone) return this.#gone(since);
      isFirst = false;
      await this.#take(batch);
      if (signal.aborted) break;
    }
    return ExitStatus.done;
  }

  #gone(since: Token): ExitStatus {
    this.#io.err(
      `xen-domid: the service no longer has all changes since ${since}: list all domains, and watch from the token of that list\n`,
    );
    return ExitStatus.unavailable;
  }

  /**
   * The changes after `since` begin without a snapshot, which a later loss of the service needs to compare with.
   * @returns the token of the list that stands in for it.
   */
  async #begin(since: Token): Promise<Token> {
    const { domains, token } = await this.#client.list();
    // The feed reports neither tombstones nor domains without a UUID.
    for (const domain of domains)
      if (!namesNoVm(domain.uuid)) this.#known.set(domain.domid, domain);
    this.#io.err(`xen-domid: watching ${this.#known.size} domains, from ${since} on\n`);
    this.token = since;
    return token;
  }

  async #take(batch: FeedBatch): Promise<void> {
    const changes =
      batch.kind === 'changes' ? batch.changes : changesSince(this.#known, batch.domains);
    for (const { domid, domain } of changes) {
      if (domain === undefined) this.#known.delete(domid);
      else this.#known.set(domid, domain);
    }
    if (batch.kind === 'snapshot')
      this.#io.err(`xen-domid: watching ${this.#known.size} domains\n`);
    else await this.#report(this.#wanted(changes), batch.token);
    this.token = batch.token;
  }

  #wanted(changes: readonly Change[]): readonly Change[] {
    if (this.#uuids.length === 0) return changes;
    return changes.filter(
      ({ uuid, previous }) =>
        this.#uuids.includes(uuid) ||
        (previous !== undefined && this.#uuids.includes(previous.uuid)),
    );
  }
}

function checkToken(since: string): void {
  if (TOKEN.test(since)) return;
  throw new UsageError(
    `--since takes a token of "xen-domid list --json" or "xen-domid watch --json", for example --since 1f0c9a7be2d4f681:17, not ${printableJson(since)}`,
  );
}
