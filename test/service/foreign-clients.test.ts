/** Clients that others wrote get the answers that the line protocol gives. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import axios from 'axios';
import jayson from 'jayson/promise/index.js';
import { JSONRPCClient, JSONRPCErrorException, type JSONRPCResponse } from 'json-rpc-2.0';
import { Agent, request } from 'undici';
import { cannot } from '../lab/cannot.ts';
import { Client, type Message, openRoom, type Room } from '../support/daemon-room.ts';
import { uuidOf } from '../support/vms.ts';

/** Debian's Python, which finds Debian's packages. */
const PYTHON = '/usr/bin/python3';

interface Question {
  readonly method: string;
  readonly params?: object;
}

/** A result, or the code of an error. */
type Answer = { readonly result: unknown } | { readonly code: number };

type Ask = (path: string, questions: readonly Question[]) => Promise<Answer[]>;

interface Foreign {
  readonly name: string;
  /** A command that succeeds where the client is installed. */
  readonly probe?: readonly string[];
  /** Asks one after the other. */
  readonly ask: Ask;
  /** Asks all in one batch. */
  readonly askBatch?: Ask;
}

const QUESTIONS: readonly Question[] = [
  { method: 'ping' },
  { method: 'domid', params: { uuid: uuidOf(2) } },
  { method: 'lookup', params: { uuid: uuidOf(2) } },
  { method: 'domid', params: { uuid: uuidOf(9999) } },
  { method: 'lookup', params: { uuid: 'web-1' } },
  { method: 'lookupMany', params: { uuids: [uuidOf(1), uuidOf(9999)] } },
  { method: 'get', params: { domid: 3 } },
  { method: 'get', params: {} },
  // Longer than the buffers of a socket.
  { method: 'list' },
  { method: 'version' },
  { method: 'rpc.discover' },
  { method: 'reboot' },
];

const messageOf = (question: Question, id: number): object => ({ jsonrpc: '2.0', id, ...question });

function answerOf({ result, error }: Message): Answer {
  return error === undefined || error === null ? { result } : { code: error.code };
}

/** Returns the answers in the order of the ids, which are those of {@link messageOf}. */
function inOrder(replies: readonly Message[]): Answer[] {
  return replies.toSorted((one, other) => one.id - other.id).map(answerOf);
}

/** Runs a program. @returns its output, which it ends with status 0. */
async function outputOf(command: readonly string[], input: string): Promise<string> {
  const [program = '', ...rest] = command;
  const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'] });
  let [out, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  child.stdin.end(input);
  const [status] = await once(child, 'close');
  expect({ status, errors }).toEqual({ status: 0, errors: '' });
  return out;
}

/** A client by a function that posts one message. */
function poster(
  name: string,
  post: (path: string, message: object) => Promise<Message>,
  probe?: readonly string[],
): Foreign {
  return {
    name,
    ...(probe !== undefined && { probe }),
    ask: async (path, questions) => {
      const answers: Answer[] = [];
      for (const [id, question] of questions.entries()) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        answers.push(answerOf(await post(path, messageOf(question, id))));
      }
      return answers;
    },
    askBatch: async (path, questions) => inOrder(await post(path, questions.map(messageOf))),
  };
}

/** A client in Python: `ask` and `ask_batch` return answers. */
function python(name: string, module: string, code: string): Foreign {
  const run = async (
    what: string,
    path: string,
    questions: readonly Question[],
  ): Promise<Answer[]> => {
    const program = `import json, sys\npath, questions = json.load(sys.stdin)\n${code}\njson.dump(${what}(), sys.stdout)`;
    return JSON.parse(
      await outputOf([PYTHON, '-c', program], JSON.stringify([path, questions])),
    ) as Answer[];
  };
  return {
    name,
    probe: [PYTHON, '-c', `import ${module}`],
    ask: (path, questions) => run('ask', path, questions),
    askBatch: (path, questions) => run('ask_batch', path, questions),
  };
}

const JSON_TYPE = { 'Content-Type': 'application/json' };

const jsonRpc2: Foreign = {
  name: "npm's json-rpc-2.0, over lines",
  ask: async (path, questions) =>
    withJsonRpc2(path, async (client) => {
      const answers: Answer[] = [];
      for (const { method, params } of questions) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        answers.push(await client.request(method, params).then((result) => ({ result }), codeOf));
      }
      return answers;
    }),
  askBatch: async (path, questions) =>
    withJsonRpc2(path, async (client) => {
      const messages = questions.map((question, id) => messageOf(question, id) as never);
      return inOrder(await client.requestAdvanced(messages));
    }),
};

function codeOf(error: unknown): Answer {
  if (!(error instanceof JSONRPCErrorException)) throw error;
  return { code: error.code };
}

async function withJsonRpc2<T>(
  path: string,
  run: (client: JSONRPCClient) => Promise<T>,
): Promise<T> {
  const socket = createConnection(path);
  const client = new JSONRPCClient((message) => void socket.write(`${JSON.stringify(message)}\n`));
  createInterface(socket).on('line', (line) =>
    client.receive(JSON.parse(line) as JSONRPCResponse | JSONRPCResponse[]),
  );
  try {
    return await run(client);
  } finally {
    socket.destroy();
  }
}

/** @param connect makes the client. */
function jaysonClient(
  name: string,
  connect: (path: string) => jayson.HttpClient | jayson.TcpClient,
): Foreign {
  return {
    name: `npm's jayson, ${name}`,
    ask: async (path, questions) => {
      const client = connect(path);
      const answers: Answer[] = [];
      for (const { method, params } of questions) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        answers.push(answerOf(await client.request(method, params ?? [])));
      }
      return answers;
    },
    askBatch: async (path, questions) =>
      inOrder(await connect(path).request(questions.map(messageOf) as never)),
  };
}

const FOREIGN: readonly Foreign[] = [
  poster(
    'curl',
    async (path, message) =>
      JSON.parse(
        await outputOf(
          [
            'curl',
            '-sS',
            '--unix-socket',
            path,
            '-H',
            'Content-Type: application/json',
            '--data-binary',
            '@-',
            'http://localhost/',
          ],
          JSON.stringify(message),
        ),
      ),
    ['curl', '--version'],
  ),
  {
    name: 'socat',
    probe: ['socat', '-V'],
    ask: async (path, questions) => {
      const lines = questions.map(
        (question, id) => `${JSON.stringify(messageOf(question, id))}\r\n`,
      );
      const out = await outputOf(
        ['socat', '-t', '10', '-', `UNIX-CONNECT:${path}`],
        lines.join(''),
      );
      return inOrder(
        out
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line)),
      );
    },
  },
  python(
    "Python's requests over a Unix socket",
    'requests_unixsocket',
    `
import requests_unixsocket, urllib.parse
session = requests_unixsocket.Session()
url = 'http+unix://%s/' % urllib.parse.quote(path, safe='')
messages = [dict(question, jsonrpc='2.0', id=id) for id, question in enumerate(questions)]
def answer(reply):
    return {'code': reply['error']['code']} if 'error' in reply else {'result': reply['result']}
def post(message):
    reply = session.post(url, json=message)
    reply.raise_for_status()
    return reply.json()
def ask():
    return [answer(post(message)) for message in messages]
def ask_batch():
    return [answer(reply) for reply in sorted(post(messages), key=lambda reply: reply['id'])]
`,
  ),
  python(
    "Python's jsonrpclib",
    'jsonrpclib',
    `
import functools, jsonrpclib
server = jsonrpclib.ServerProxy('unix+http://' + path)
def named(target, name):
    return functools.reduce(getattr, name.split('.'), target)
def answer(call):
    try:
        return {'result': call()}
    except jsonrpclib.ProtocolError as error:
        return {'code': error.args[0][0]}
def ask():
    return [answer(lambda: named(server, q['method'])(**q.get('params', {}))) for q in questions]
def ask_batch():
    batch = jsonrpclib.MultiCall(server)
    for q in questions:
        named(batch, q['method'])(**q.get('params', {}))
    results = batch()
    return [answer(lambda: results[index]) for index in range(len(questions))]
`,
  ),
  poster("npm's axios", async (path, message) => {
    const options = { socketPath: path, headers: JSON_TYPE };
    return (await axios.post('http://localhost/', message, options)).data;
  }),
  poster("npm's undici", async (path, message) => {
    const dispatcher = new Agent({ connect: { socketPath: path } });
    const { body } = await request('http://localhost/', {
      dispatcher,
      method: 'POST',
      headers: JSON_TYPE,
      body: JSON.stringify(message),
    });
    const reply = (await body.json()) as Message;
    await dispatcher.close();
    return reply;
  }),
  jsonRpc2,
  jaysonClient('over HTTP', (path) => jayson.Client.http({ socketPath: path, path: '/' })),
  jaysonClient('over lines', (path) => jayson.Client.tcp({ path } as never)),
];

/** Leaves out the fields that change all the time. */
function steady(answers: readonly Answer[]): unknown {
  const changing = new Set(['running', 'blocked', 'cpuTimeSeconds']);
  return JSON.parse(
    JSON.stringify(answers, (key, value: unknown) => (changing.has(key) ? undefined : value)),
  );
}

let room: Room;
let expected: Answer[];
beforeAll(async () => {
  room = await openRoom({ vms: 1000 });
  const client = await Client.connect(room.path);
  expected = [];
  for (const { method, params } of QUESTIONS) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    expected.push(answerOf(await client.call(method, params)));
  }
  client.close();
});
afterAll(() => room.close());

describe.each(FOREIGN)('$name', ({ probe, ask, askBatch }) => {
  const [program = '', ...rest] = probe ?? ['true'];
  const isMissing = spawnSync(program, rest).status !== 0;
  // A developer's machine need not have all of them; CI must.
  const foreign = cannot(process.env['CI'] === undefined && isMissing && 'it is not installed');

  foreign('gets the answers, and the errors', async () => {
    expect(steady(await ask(room.path, QUESTIONS))).toEqual(steady(expected));
  });

  if (askBatch !== undefined) {
    foreign('gets those of a batch', async () => {
      expect(steady(await askBatch(room.path, QUESTIONS))).toEqual(steady(expected));
    });
  }
});
