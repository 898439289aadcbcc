/** Text from guests, the service and arguments must not control the terminal that it is printed on. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Peer } from '../support/client-peer.ts';
import { openRoom, type Room } from '../support/daemon-room.ts';

const BIN = join(import.meta.dirname, '../../src/cli/bin.cjs');
const SLOW_MS = 60_000;
const UUID = '6d4f1a5e-0b7c-4c4e-9d2a-00000000000a';

/** Clears a screen, sets its title, makes a link, goes back, begins a line, and is read from right to left. */
const EVIL = [
  'x\u001b[2J',
  '\u001b]0;title\u0007',
  '\u001b]8;;http://evil.example\u001b\\link',
  '\u009b1A',
  '\b\b\r\n',
  'root 0',
  '\u202e\u2066\u2028\u2029\u200b\u{e0041}\ud800',
].join('');

/** Control characters, except for line ends: the tests count the lines. */
const NOT_TEXT = /[^\n\P{C}]|[\p{Zl}\p{Zp}]/u;

async function said(socket: string, ...argv: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const env = { ...process.env, NODE_OPTIONS: '', XEN_DOMID_SOCKET: socket };
    execFile(process.execPath, [BIN, ...argv], { env }, (_, out, err) => resolve(out + err));
  });
}

describe('a guest with control characters in its name', () => {
  let room: Room;
  beforeEach(async () => {
    room = await openRoom({ xenstore: true, simulated: true });
  });
  afterEach(() => room.close());

  it.each([
    ['an escape sequence and a new line', 'x\u001b[2J\nroot 0'],
    ['the other control characters', '\u009b1A\u009d0;title\u009c'],
    ['what is read from right to left', '\u202eevil\u2066\u2028\u{e0041}'],
    ['2000 new lines', `${'\n'.repeat(2000)}x`],
    ['a bell and a backspace', '\u0000\u0007\b\u007f'],
  ])(
    'is one line of text in a list, with %s',
    async (_, name) => {
      room.xenstored?.write('/local/domain/2/name', name);
      const table = await said(room.path, 'list', '--simulated');
      expect(table).not.toMatch(NOT_TEXT);
      expect(table.split('\n')).toHaveLength(1 + 4 + 1);
      const json = await said(room.path, 'list', '--simulated', '--json');
      expect(json).not.toMatch(NOT_TEXT);
      const { domains } = JSON.parse(json) as { domains: { name?: string }[] };
      expect(domains[2]?.name).toBe(name);
    },
    SLOW_MS,
  );
});

describe('a foreign service', () => {
  it.each([
    ['stats', ['stats'], 14],
    ['stats --json', ['stats', '--json'], 1],
    ['list', ['list'], 1],
    ['list --json', ['list', '--json'], 1],
    ['lookup', ['lookup', UUID], 1],
    ['lookup --json', ['lookup', '--json', UUID], 1],
    ['watch', ['watch'], 1],
  ] as const)(
    'gets no control character through %s',
    async (_, argv, lines) => {
      const peer = await Peer.start(({ id, method }, connection) => {
        if (method === 'stats')
          connection.result(id, { a: 1, b: EVIL, [EVIL]: 2, c: { [EVIL]: 3 } });
        else connection.error(id, -32_001, EVIL, { cause: EVIL });
      });
      const text = await said(peer.path, ...argv);
      expect(text).not.toMatch(NOT_TEXT);
      expect(text.trimEnd().split('\n')).toHaveLength(lines);
      await peer.close();
    },
    SLOW_MS,
  );
});

it.each([
  ['a UUID', ['lookup', EVIL], 2],
  ['a UUID, with --json', ['lookup', '--json', EVIL], 1],
  ['a command', [EVIL], 2],
  ['an order', ['list', '--sort', EVIL], 2],
  ['a socket', ['lookup', '--socket', `/nowhere/${EVIL}`, UUID], 1],
  ['a socket, with --json', ['list', '--socket', `/nowhere/${EVIL}`, '--json'], 1],
] as const)(
  'an argument of control characters is printed without them: %s',
  async (_, argv, lines) => {
    const text = await said('/nowhere', ...argv);
    expect(text).not.toMatch(NOT_TEXT);
    expect(text.trimEnd().split('\n')).toHaveLength(lines);
  },
  SLOW_MS,
);
