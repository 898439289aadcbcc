/** Operations and transactions against a scripted peer: the bytes that each sends, and the result of each reply. */
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Xenstore, type XenstoreTransaction } from '../../src/xenstore/xenstore.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { frame, Peer, type Request, type Script } from './peer.ts';

const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((close) => close()));
});

async function setup(script: Script): Promise<{ peer: Peer; xenstore: Xenstore }> {
  const peer = await Peer.listen(script);
  open.push(() => peer.close());
  const xenstore = await Xenstore.open({ socketPath: peer.path });
  open.push(() => xenstore.close());
  return { peer, xenstore };
}

/** Answers each request with the next of the answers; one in capitals that begins with E is an error. */
function answers(...list: readonly string[]): Script {
  const left = [...list];
  return (request, peer) => {
    const answer = left.shift() ?? 'EIO';
    if (/^E[A-Z0-9]+$/.test(answer)) peer.refuse(request, answer);
    else peer.reply(request, answer);
  };
}

function sent({ requests }: Peer): string[] {
  return requests.map(({ type, txId, payload }) => `${type} ${txId} ${JSON.stringify(payload)}`);
}

describe('verbs', () => {
  test('read: the value without a NUL, undefined where there is none, other errors thrown', async () => {
    const { peer, xenstore } = await setup(answers('/vm/x', '', 'ENOENT', 'EACCES'));
    expect(await xenstore.read('/local/domain/5/vm')).toBe('/vm/x');
    expect(await xenstore.read('/')).toBe('');
    expect(await xenstore.read('/a')).toBeUndefined();
    await expect(xenstore.read('/b')).rejects.toMatchObject({ errno: 'EACCES' });
    expect(sent(peer)).toEqual([
      String.raw`2 0 "/local/domain/5/vm\u0000"`,
      String.raw`2 0 "/\u0000"`,
      String.raw`2 0 "/a\u0000"`,
      String.raw`2 0 "/b\u0000"`,
    ]);
  });

  test('values are UTF-8 as text, and whatever a guest wrote as bytes', async () => {
    const hostile = '\xc3\xa9\xff\0\n';
    const { xenstore } = await setup(answers(hostile, hostile, 'ENOENT'));
    expect(await xenstore.read('/a')).toBe('é\ufffd\0\n');
    expect(await xenstore.readBytes('/a')).toEqual(Uint8Array.of(0xc3, 0xa9, 0xff, 0, 0x0a));
    expect(await xenstore.readBytes('/a')).toBeUndefined();
  });

  test('bytes read stay as they are when more is read, also where a chunk cut them', async () => {
    const { peer, xenstore } = await setup(() => {});
    const values: (Uint8Array | undefined)[] = [];
    for (const [index, value] of ['first', 'other'].entries()) {
      const reading = xenstore.readBytes('/a');
      await peer.received(index + 1);
      const whole = frame(2, peer.requests[index]?.reqId ?? 0, 0, value);
      await peer.send(whole.subarray(0, 18));
      await sleep(5);
      await peer.send(whole.subarray(18));
      values.push(await reading);
    }
    expect(values).toEqual(['first', 'other'].map((value) => Uint8Array.from(Buffer.from(value))));
  });

  test('write, mkdir and rm; removing what is not there is no error', async () => {
    const { peer, xenstore } = await setup(
      answers('OK\0', 'OK\0', 'OK\0', 'OK\0', 'OK\0', 'ENOENT', 'EACCES'),
    );
    await xenstore.write('/a', 'é');
    await xenstore.write('/a', Uint8Array.of(0, 0xff));
    await xenstore.write('/a', '');
    await xenstore.mkdir('/d');
    await xenstore.rm('/d');
    await xenstore.rm('/d');
    await expect(xenstore.rm('/d')).rejects.toMatchObject({ errno: 'EACCES' });
    expect(sent(peer)).toEqual([
      String.raw`11 0 "/a\u0000Ã©"`,
      String.raw`11 0 "/a\u0000\u0000ÿ"`,
      String.raw`11 0 "/a\u0000"`,
      String.raw`12 0 "/d\u0000"`,
      String.raw`13 0 "/d\u0000"`,
      String.raw`13 0 "/d\u0000"`,
      String.raw`13 0 "/d\u0000"`,
    ]);
  });

  test('getDomainPath and isDomainIntroduced', async () => {
    const { peer, xenstore } = await setup(answers('/local/domain/5\0', 'T\0', 'F\0'));
    expect(await xenstore.getDomainPath(5)).toBe('/local/domain/5');
    expect(await xenstore.isDomainIntroduced(5)).toBe(true);
    expect(await xenstore.isDomainIntroduced(32_751)).toBe(false);
    expect(sent(peer)).toEqual([
      String.raw`10 0 "5\u0000"`,
      String.raw`17 0 "5\u0000"`,
      String.raw`17 0 "32751\u0000"`,
    ]);
  });

  test('bad input is refused with a code of its own, and nothing is sent', async () => {
    const { peer, xenstore } = await setup(answers());
    const invalidPath = { code: ErrorCode.INVALID_PATH };
    await expect(xenstore.read('a')).rejects.toMatchObject(invalidPath);
    await expect(xenstore.readBytes('/a/')).rejects.toMatchObject(invalidPath);
    await expect(xenstore.directory('@releaseDomain')).rejects.toMatchObject(invalidPath);
    await expect(xenstore.write('/a b', '')).rejects.toMatchObject(invalidPath);
    await expect(xenstore.mkdir('/a\0b')).rejects.toMatchObject(invalidPath);
    await expect(xenstore.rm('//')).rejects.toMatchObject(invalidPath);
    const tooLarge = { code: ErrorCode.TOO_LARGE };
    await expect(xenstore.write('/a', 'x'.repeat(4094))).rejects.toMatchObject(tooLarge);
    await expect(xenstore.write('/a', new Uint8Array(4094))).rejects.toMatchObject(tooLarge);
    for (const domid of [-1, 1.5, 0x7ff0, Number.NaN]) {
      const invalidDomid = { code: ErrorCode.INVALID_DOMID };
      await expect(xenstore.getDomainPath(domid)).rejects.toMatchObject(invalidDomid);
      await expect(xenstore.isDomainIntroduced(domid)).rejects.toMatchObject(invalidDomid);
    }
    expect(peer.requests).toEqual([]);
  });

  test('after close every call fails with ERR_CLOSED', async () => {
    const { xenstore } = await setup(answers());
    await xenstore.close();
    const closed = { code: ErrorCode.CLOSED };
    await expect(xenstore.read('/a')).rejects.toMatchObject(closed);
    await expect(xenstore.directory('/a')).rejects.toMatchObject(closed);
    await expect(xenstore.write('/a', '')).rejects.toMatchObject(closed);
    await expect(xenstore.transaction(async () => {})).rejects.toMatchObject(closed);
    expect((await xenstore.closed).code).toBe(ErrorCode.CLOSED);
  });
});

describe('directory', () => {
  test('names, none, no such node', async () => {
    const { peer, xenstore } = await setup(answers('a\0bc\0', '', 'ENOENT'));
    expect(await xenstore.directory('/d')).toEqual(['a', 'bc']);
    expect(await xenstore.directory('/d')).toEqual([]);
    expect(await xenstore.directory('/d')).toBeUndefined();
    expect(sent(peer)[0]).toBe(String.raw`1 0 "/d\u0000"`);
  });

  test('in one reply however long, as oxenstored sends it', async () => {
    const names = Array.from({ length: 20_000 }, (_, index) => `domain-${index}`);
    const { xenstore } = await setup(answers(`${names.join('\0')}\0`));
    expect(await xenstore.directory('/d')).toEqual(names);
  });

  test('of 65,536 names is returned; one name more is an error', async () => {
    const names = Array.from({ length: 65_536 }, (_, index) => `${index}`);
    const { xenstore } = await setup(
      answers(`${names.join('\0')}\0`, `${names.join('\0')}\0one more\0`),
    );
    expect(await xenstore.directory('/d')).toEqual(names);
    await expect(xenstore.directory('/d')).rejects.toThrow('more than 65536 names');
  });

  test('in parts where it is too big for one, each asked for where the last ended', async () => {
    const { peer, xenstore } = await setup(
      answers('E2BIG', '17\0a\0bc\0', '17\0def\0', '17\0ghij\0\0'),
    );
    expect(await xenstore.directory('/d')).toEqual(['a', 'bc', 'def', 'ghij']);
    expect(sent(peer)).toEqual([
      String.raw`1 0 "/d\u0000"`,
      String.raw`22 0 "/d\u00000\u0000"`,
      String.raw`22 0 "/d\u00005\u0000"`,
      String.raw`22 0 "/d\u00009\u0000"`,
    ]);
  });

  test('the end may come as a part of its own', async () => {
    const { xenstore } = await setup(answers('E2BIG', '17\0a\0', '17\0\0'));
    expect(await xenstore.directory('/d')).toEqual(['a']);
  });

  test('begun anew when it changed between two parts', async () => {
    const { peer, xenstore } = await setup(
      answers('E2BIG', '17\0a\0b\0', '18\0c\0\0', '18\0a\0', '18\0c\0\0'),
    );
    expect(await xenstore.directory('/d')).toEqual(['a', 'c']);
    expect(sent(peer).slice(1)).toEqual([
      String.raw`22 0 "/d\u00000\u0000"`,
      String.raw`22 0 "/d\u00004\u0000"`,
      String.raw`22 0 "/d\u00000\u0000"`,
      String.raw`22 0 "/d\u00002\u0000"`,
    ]);
  });

  test('one that changes without end is given up', async () => {
    let generation = 0;
    const { peer, xenstore } = await setup((request, to) => {
      if (request.type === 1) to.refuse(request, 'E2BIG');
      else to.reply(request, `${generation++}\0a\0`);
    });
    await expect(xenstore.directory('/d')).rejects.toMatchObject({
      code: ErrorCode.XENSTORE_REPLY,
      errno: 'EAGAIN',
    });
    expect(peer.requests.length).toBeLessThan(200);
  });

  test('one removed between two parts is not there', async () => {
    const { xenstore } = await setup(answers('E2BIG', '17\0a\0', 'ENOENT'));
    expect(await xenstore.directory('/d')).toBeUndefined();
  });

  test('a daemon without parts: E2BIG is the answer', async () => {
    const { xenstore } = await setup(answers('E2BIG', 'ENOSYS'));
    await expect(xenstore.directory('/d')).rejects.toMatchObject({ errno: 'E2BIG' });
  });

  test.each([
    ['nothing', ''],
    ['a generation alone', '17\0'],
    ['a name without an end', '17\0a\0b'],
  ])(
    '%s for a part ends the connection, not the process, nor is it asked for for ever',
    async (_name, part) => {
      const { xenstore } = await setup(answers('E2BIG', part));
      await expect(xenstore.directory('/d')).rejects.toMatchObject({
        code: ErrorCode.XENSTORE_PROTOCOL,
      });
    },
  );
});

/** A daemon that numbers transactions from 1 and refuses the first `conflicts` commits. */
function transactional(conflicts: number): Script {
  let txId = 0;
  let left = conflicts;
  return (request: Request, peer: Peer) => {
    if (request.type === 6) peer.reply(request, `${++txId}\0`);
    else if (request.type !== 7) peer.reply(request, 'v');
    else if (request.payload === 'T\0' && left-- > 0) peer.refuse(request, 'EAGAIN');
    else peer.reply(request, 'OK\0');
  };
}

describe('a transaction', () => {
  test('carries its number in each request, and is committed', async () => {
    const { peer, xenstore } = await setup(transactional(0));
    const value = await xenstore.transaction(async (t) => {
      await t.write('/a', '1');
      return await t.read('/a');
    });
    expect(value).toBe('v');
    expect(sent(peer)).toEqual([
      String.raw`6 0 "\u0000"`,
      String.raw`11 1 "/a\u00001"`,
      String.raw`2 1 "/a\u0000"`,
      String.raw`7 1 "T\u0000"`,
    ]);
  });

  test('is run anew on a conflict, until it passes', async () => {
    const { peer, xenstore } = await setup(transactional(3));
    let runs = 0;
    const value = await xenstore.transaction(async (t) => {
      await t.write('/a', '1');
      return ++runs;
    });
    expect(value).toBe(4);
    expect(peer.requests.filter(({ type }) => type === 11).map(({ txId }) => txId)).toEqual([
      1, 2, 3, 4,
    ]);
  });

  test('that always conflicts is given up after its tries', async () => {
    const { peer, xenstore } = await setup(transactional(Infinity));
    await expect(xenstore.transaction(async () => {}, { tries: 3 })).rejects.toMatchObject({
      code: ErrorCode.TRANSACTION_CONFLICT,
      errno: 'EAGAIN',
    });
    expect(peer.requests.filter(({ type }) => type === 7)).toHaveLength(3);
  });

  test('whose body throws is dropped, and the error goes on', async () => {
    const { peer, xenstore } = await setup(transactional(0));
    const error = new Error('no');
    await expect(xenstore.transaction(() => Promise.reject(error))).rejects.toBe(error);
    expect(sent(peer).at(-1)).toBe(String.raw`7 1 "F\u0000"`);
  });

  test('takes nothing more after its end', async () => {
    const { peer, xenstore } = await setup(transactional(0));
    let kept: XenstoreTransaction | undefined;
    await xenstore.transaction(async (t) => {
      kept = t;
    });
    const count = peer.requests.length;
    await expect(kept?.read('/a')).rejects.toMatchObject({ code: ErrorCode.CLOSED });
    await expect(kept?.write('/a', '')).rejects.toMatchObject({ code: ErrorCode.CLOSED });
    expect(peer.requests).toHaveLength(count);
  });

  test('another refusal of its commit is not taken for a conflict', async () => {
    const { xenstore } = await setup(answers('1\0', 'ENOSPC'));
    await expect(xenstore.transaction(async () => {})).rejects.toMatchObject({
      code: ErrorCode.XENSTORE_REPLY,
      errno: 'ENOSPC',
    });
  });

  test('whose daemon dies fails with that', async () => {
    const { peer, xenstore } = await setup(transactional(0));
    await expect(
      xenstore.transaction(async (t) => {
        peer.kill();
        await t.read('/a');
      }),
    ).rejects.toMatchObject({ code: ErrorCode.XENSTORE_DISCONNECTED });
  });

  test.each(['\0', 'x\0', '0\0', '4294967296\0'])(
    'a number %j for it is no number',
    async (txId) => {
      const { xenstore } = await setup(answers(txId));
      await expect(xenstore.transaction(async () => {})).rejects.toMatchObject({
        code: ErrorCode.XENSTORE_PROTOCOL,
      });
    },
  );
});

test('the verbs alone load no RxJS: a short command has no 100 ms to spend', async () => {
  const module = new URL('../../src/xenstore/xenstore.js', import.meta.url);
  const script = `import { createRequire } from 'node:module';
    await import(${JSON.stringify(module.href)});
    const loaded = Object.keys(createRequire(import.meta.url).cache);
    process.stdout.write(String(loaded.filter((path) => path.includes('rxjs')).length));`;
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '--eval',
    script,
  ]);
  expect(stdout).toBe('0');
});
