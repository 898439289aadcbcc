/** Prints the answers of `xen-domid lookup`, and keeps its exit status. */
import type { DomidResult, Found, LookupResult, Unavailable } from '../../results.ts';
import type { Uuid } from '../../uuid.ts';
import { ExitStatus, STATUS_OF } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { errorText } from '../terminal/error-text.ts';

/** A result without the service. Its source would only say by which list the command found the domain. */
export type DirectResult = Exclude<LookupResult, Found> | Omit<Found, 'source'>;

export type Answer = LookupResult | DomidResult | DirectResult;

export interface AnswerFormat {
  readonly json: boolean;
  /** Each line begins with the UUID. */
  readonly several: boolean;
}

export class Answers {
  readonly #io: Io;
  readonly #format: AnswerFormat;
  #status: ExitStatus = ExitStatus.done;

  constructor(io: Io, format: AnswerFormat) {
    this.#io = io;
    this.#format = format;
  }

  /** The highest status so far. */
  get status(): ExitStatus {
    return this.#status;
  }

  /** Sets the status, unless it is higher already. */
  raise(status: ExitStatus): void {
    if (status > this.#status) this.#status = status;
  }

  print(uuid: Uuid, answer: Answer): void {
    this.raise(STATUS_OF[answer.status]);
    const { out, err } = this.#io;
    if (this.#format.json) {
      const { error: _, ...plain } = { error: undefined, ...answer };
      return out(`${JSON.stringify({ uuid, ...plain })}\n`);
    }
    switch (answer.status) {
      case 'found': {
        const domid = 'domid' in answer ? answer.domid : answer.domain.domid;
        return out(this.#format.several ? `${uuid} ${domid}\n` : `${domid}\n`);
      }
      case 'notFound':
        return err(`xen-domid: no domain has the UUID ${uuid}\n`);
      case 'ambiguous': {
        const domids =
          'domids' in answer ? answer.domids : answer.domains.map(({ domid }) => domid);
        return err(
          `xen-domid: more than one domain has the UUID ${uuid}: domids ${domids.join(', ')}\n`,
        );
      }
      default:
        return err(`xen-domid: ${uuid}: ${reasonOf(answer)}\n`);
    }
  }
}

function reasonOf({ cause, error }: Unavailable): string {
  return error === undefined ? cause : errorText(error);
}
