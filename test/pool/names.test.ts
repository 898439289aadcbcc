import { describe, expect, test } from '@jest/globals';
import { assert, json, oneof, property, uint8Array } from 'fast-check';
import { decodeHostEntry, decodePeers, decodeVmEntry } from '../../src/pool/entries.ts';
import { parseHostKey, parseHostName, parseVmKey, vmKey } from '../../src/pool/names.ts';
import {
  changesAfter,
  decodePoolToken,
  encodePoolToken,
  parsePosition,
} from '../../src/pool/position.ts';
import type { Change } from '../../src/change.ts';
import { uuidOf } from '../support/vms.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const host = parseHostName('xen-1');

const change = (domid: number): Change =>
  ({ kind: 'created', domid, uuid: uuidOf(domid) }) as never;

describe('keys', () => {
  test('of a VM lead to its UUID and its host', () => {
    expect(parseVmKey(vmKey(uuidOf(1), host))).toEqual({ uuid: uuidOf(1), host });
    expect(parseHostKey('host.xen-1')).toEqual({ kind: 'host', host });
    expect(parseHostKey('peers.xen-1')).toEqual({ kind: 'peers', host });
  });

  test.each([
    'vm',
    'vm..',
    `vm.${uuidOf(1)}`,
    `vm.${uuidOf(10).toUpperCase()}.xen1`,
    `vm.${uuidOf(1)}.xen1.more`,
    `vm.${uuidOf(1)}.-x`,
    `vm.${uuidOf(1)}.${'x'.repeat(64)}`,
    'vm.00000000-0000-0000-0000-000000000000.xen1',
    'vm.deadbeef-dead-beef-dead-beef00000001.xen1',
    `__proto__.${uuidOf(1)}.xen1`,
  ])('that no bridge writes are ignored: %s', (key) => {
    expect(parseVmKey(key)).toBeUndefined();
  });

  test.each(['', '.', 'xen 1', 'xen.1', 'xen*', '>', 'x'.repeat(64), 'é'])(
    'have no host named %j',
    (name) => {
      expect(() => parseHostName(name)).toThrow(/cannot name a host/);
      expect(parseHostKey(`host.${name}`)).toBeUndefined();
    },
  );
});

describe('values', () => {
  test('of any bytes are decoded or ignored, never believed half', () => {
    assert(
      property(oneof(uint8Array(), json().map(bytes)), (value) => {
        decodeVmEntry(value);
        decodeHostEntry(value);
        decodePeers(value);
      }),
    );
  });

  test('of a bridge are decoded', () => {
    const vm = { domid: 3, epoch: 'ab', since: '2026-11-28T21:00:00.000Z' };
    expect(decodeVmEntry(bytes(JSON.stringify(vm)))).toEqual(vm);
    const entry = { bridge: 'ab', epoch: 'cd', revision: 1, domains: 2, version: '1', xen: '4.17' };
    expect(decodeHostEntry(bytes(JSON.stringify(entry)))).toEqual(entry);
    expect(decodePeers(bytes('{"hosts":["a","b c",7]}'))).toEqual(['a']);
  });

  test.each([
    '{"domid":40000,"epoch":"ab","since":"1"}',
    '{"domid":1,"epoch":"x y","since":"1"}',
    '{"domid":1,"epoch":"ab","since":"\\u001b[2J"}',
    `{"domid":1,"epoch":"ab","since":"1","more":"${'x'.repeat(5000)}"}`,
  ])('with a wrong field are ignored: %s', (text) => {
    expect(decodeVmEntry(bytes(text))).toBeUndefined();
  });
});

describe('positions', () => {
  const run = {
    after: { epoch: 'a', revision: 5 },
    to: { epoch: 'a', revision: 8 },
    changes: [change(1), change(2), change(3)],
  };

  test('tell which changes of a run follow', () => {
    expect(changesAfter({ epoch: 'a', revision: 5 }, run)).toEqual(run.changes);
    expect(changesAfter({ epoch: 'a', revision: 7 }, run)).toEqual([change(3)]);
    expect(changesAfter({ epoch: 'a', revision: 8 }, run)).toBe('old');
    expect(changesAfter({ epoch: 'a', revision: 4 }, run)).toBe('gap');
    expect(changesAfter({ epoch: 'b', revision: 8 }, run)).toBe('gap');
  });

  test('inside conflated changes are a gap', () => {
    const conflated = { ...run, changes: [change(3)] };
    expect(changesAfter({ epoch: 'a', revision: 5 }, conflated)).toEqual([change(3)]);
    expect(changesAfter({ epoch: 'a', revision: 6 }, conflated)).toBe('gap');
  });

  test('of all hosts are one token', () => {
    const tokens = new Map([[host, 'ab:7']]);
    expect(decodePoolToken(encodePoolToken(tokens))).toEqual(tokens);
    expect(decodePoolToken('{"xen-1":"x","a b":"ab:1"}')).toEqual(new Map());
    expect(() => decodePoolToken('x')).toThrow(/not a token of a pool/);
    expect(parsePosition('ab:-1')).toBeUndefined();
  });
});
