import { describe, expect, test } from '@jest/globals';
import type { Domain } from '../../../src/domain.ts';
import type { Change } from '../../../src/change.ts';
import { conflate } from '../../../src/inventory/feed/conflate.ts';
import { uuidOf } from '../../support/vms.ts';
import { madeUpDomain } from '../../support/made-up-domain.ts';

const [A, B, C] = [uuidOf(0xa), uuidOf(0xb), uuidOf(0xc)];

function domain(domid: number, fields: Partial<Domain> = {}): Domain {
  return madeUpDomain(domid, { uuid: A, ...fields });
}

const created = (after: Domain): Change => change('created', undefined, after);
const destroyed = (before: Domain): Change => change('destroyed', before, undefined);

function change(kind: Change['kind'], previous?: Domain, after?: Domain): Change {
  const { domid, uuid } = (after ?? previous) as Domain;
  return {
    kind,
    domid,
    uuid,
    ...(after !== undefined && { domain: after }),
    ...(previous !== undefined && { previous }),
  };
}

const told = (changes: readonly Change[]): unknown[] =>
  conflate(changes).map(({ kind, domid, uuid }) => [kind, domid, uuid]);

describe('net changes', () => {
  test('leave out a domain that was created and destroyed', () => {
    expect(told([created(domain(1)), destroyed(domain(1))])).toEqual([]);
    const dead = domain(1, { dying: true });
    expect(told([created(domain(1)), change('dying', domain(1), dead), destroyed(dead)])).toEqual(
      [],
    );
  });

  test('have one creation, with the new UUID, for a domain that was created and renamed', () => {
    const renamed = domain(1, { uuid: B });
    expect(told([created(domain(1)), change('renamed', domain(1), renamed)])).toEqual([
      ['created', 1, B],
    ]);
  });

  test('are in the order of the last change of each domain', () => {
    const renamed = domain(1, { uuid: B });
    const changes = [created(domain(1)), created(domain(2)), change('renamed', domain(1), renamed)];
    expect(told(changes)).toEqual([
      ['created', 2, A],
      ['created', 1, B],
    ]);
  });

  test('leave out a domain that was renamed and renamed back', () => {
    const other = domain(1, { uuid: B });
    expect(
      told([change('renamed', domain(1), other), change('renamed', other, domain(1))]),
    ).toEqual([]);
  });

  test('have one rename, from the first UUID to the last, for a domain that was renamed twice', () => {
    const [second, third] = [domain(1, { uuid: B }), domain(1, { uuid: C })];
    const changes = conflate([
      change('renamed', domain(1), second),
      change('renamed', second, third),
    ]);
    expect(changes).toMatchObject([{ kind: 'renamed', uuid: C, previous: { uuid: A } }]);
  });

  test('leave out a shutdown that was resumed, and keep a later one', () => {
    const down = domain(1, { shutdown: true, shutdownReason: 'suspend' });
    const there = [change('shutdown', domain(1), down), change('resumed', down, domain(1))];
    expect(told(there)).toEqual([]);
    expect(told([...there, change('shutdown', domain(1), down)])).toEqual([['shutdown', 1, A]]);
  });

  test('have the end of a domain and the creation of the next one at its domid', () => {
    expect(told([destroyed(domain(1)), created(domain(1, { uuid: B }))])).toEqual([
      ['destroyed', 1, A],
      ['created', 1, B],
    ]);
  });

  test('have both also if the next domain has the same UUID', () => {
    expect(told([destroyed(domain(1)), created(domain(1))])).toEqual([
      ['destroyed', 1, A],
      ['created', 1, A],
    ]);
  });

  test('have the creation and the dying of a domain that was created and is dying', () => {
    const dead = domain(1, { dying: true });
    expect(told([created(domain(1)), change('dying', domain(1), dead)])).toEqual([
      ['created', 1, A],
      ['dying', 1, A],
    ]);
  });

  test('have destroyed domains first, so that the old domain of a rebooted VM ends before the new one is created', () => {
    expect(told([created(domain(2)), destroyed(domain(1))])).toEqual([
      ['destroyed', 1, A],
      ['created', 2, A],
    ]);
  });

  test('of no changes are none', () => {
    expect(conflate([])).toEqual([]);
  });
});
