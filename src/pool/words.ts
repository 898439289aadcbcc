/** The answers of single hosts to look-ups. The look-ups of one turn of the event loop share one request for each host. */
import { fieldsOf, protocolError, readLookup } from '../protocol/decode.ts';
import type { LookupResult } from '../results.ts';
import type { Uuid } from '../uuid.ts';
import type { HostReply, HostRequests } from './host-requests.ts';
import type { HostName } from './names.ts';

/** The answer of one host about one UUID. */
export interface Word {
  readonly host: HostName;
  readonly result:
    | Exclude<LookupResult, { status: 'unavailable' }>
    | { readonly status: 'silent'; readonly cause: string };
  /**
   * With `notFound`: least time since this host had the VM, ms, by the clock of the host when it answered. More than the
   * time since the question: the VM was not there in between.
   */
  readonly leftMs: number;
}

interface Question {
  readonly uuid: Uuid;
  readonly timeoutMs: number;
  readonly resolve: (word: Word) => void;
}

/** UUIDs in one request: the answer has up to 400 bytes for each. */
export const UUIDS_PER_REQUEST = 500;
/** A host that has not answered by then does not answer, ms. */
const ANSWER_MAX_MS = 30_000;

export class Words {
  readonly #requests: HostRequests;
  /** Questions of this turn of the event loop, by host. */
  readonly #waiting = new Map<HostName, Question[]>();

  constructor(requests: HostRequests) {
    this.#requests = requests;
  }

  ask(host: HostName, uuid: Uuid, timeoutMs: number): Promise<Word> {
    return new Promise((resolve) => {
      if (this.#waiting.size === 0) queueMicrotask(() => this.#send());
      const questions = this.#waiting.get(host);
      const question = { uuid, timeoutMs, resolve };
      if (questions === undefined) this.#waiting.set(host, [question]);
      else questions.push(question);
    });
  }

  /** Asks the hosts that have the VM, without knowing their names. @returns the word of the first one that answers in time. */
  async askHolder(uuid: Uuid, timeoutMs: number): Promise<Word | undefined> {
    const answer = await this.#requests.askHolder(uuid, timeoutMs);
    return answer && wordsOf(answer.host, [{ uuid }], answer.reply)[0];
  }

  #send(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const [host, questions] of waiting) {
      for (let from = 0; from < questions.length; from += UUIDS_PER_REQUEST)
        void this.#request(host, questions.slice(from, from + UUIDS_PER_REQUEST));
    }
  }

  async #request(host: HostName, questions: readonly Question[]): Promise<void> {
    const longest = Math.max(...questions.map(({ timeoutMs }) => timeoutMs));
    const params = `{"uuids":[${questions.map(({ uuid }) => `"${uuid}"`).join()}]}`;
    const reply = await this.#requests.ask(
      host,
      'lookup',
      params,
      Math.min(longest, ANSWER_MAX_MS),
    );
    const words = wordsOf(host, questions, reply);
    questions.forEach(({ resolve }, index) => {
      resolve(words[index] ?? silent(host, 'ERR_SERVICE_PROTOCOL'));
    });
  }
}

function wordsOf(
  host: HostName,
  questions: readonly Pick<Question, 'uuid'>[],
  reply: HostReply,
): Word[] {
  if ('cause' in reply) return questions.map(() => silent(host, reply.cause));
  try {
    const { result } = reply;
    if (!Array.isArray(result) || result.length !== questions.length)
      throw protocolError('another number of answers');
    return questions.map(({ uuid }, index) => wordOf(host, uuid, result[index]));
  } catch {
    return questions.map(() => silent(host, 'ERR_SERVICE_PROTOCOL'));
  }
}

function wordOf(host: HostName, uuid: Uuid, value: unknown): Word {
  const result = readLookup(value, uuid);
  if (result.status === 'unavailable') return silent(host, result.cause);
  const { leftMs } = fieldsOf(value, 'answer');
  // A host that does not say when it had the VM may have had it just now.
  return { host, result, leftMs: typeof leftMs === 'number' && leftMs >= 0 ? leftMs : 0 };
}

export function silent(host: HostName, cause: string): Word {
  return { host, result: { status: 'silent', cause }, leftMs: 0 };
}
