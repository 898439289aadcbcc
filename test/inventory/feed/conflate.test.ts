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

describe('many changes in few', () => {
  test('of a domain that came and went nothing is left', () => {
    expect(told([created(domain(1)), destroyed(domain(1))])).toEqual([]);
    const dead = domain(1, { dying: true });
    expect(told([created(domain(1)), change('dying', domain(1), dead), destroyed(dead)])).toEqual(
      [],
    );
  });

  test('one that came and was renamed is created as what it is', () => {
    const renamed = domain(1, { uuid: B });
    expect(told([created(domain(1)), change('renamed', domain(1), renamed)])).toEqual([
      ['created', 1, B],
    ]);
  });

  test('the order is that of the last change of each', () => {
    const renamed = domain(1, { uuid: B });
    const changes = [created(domain(1)), created(domain(2)), change('renamed', domain(1), renamed)];
    expect(told(changes)).toEqual([
      ['created', 2, A],
      ['created', 1, B],
    ]);
  });

  test('one that was renamed there and back is not told of', () => {
    const other = domain(1, { uuid: B });
    expect(
      told([change('renamed', domain(1), other), change('renamed', other, domain(1))]),
    ).toEqual([]);
  });

  test('one that was renamed twice is renamed once, from the first to the last', () => {
    const [second, third] = [domain(1, { uuid: B }), domain(1, { uuid: C })];
    const changes = conflate([
      change('renamed', domain(1), second),
      change('renamed', second, third),
    ]);
    expect(changes).toMatchObject([{ kind: 'renamed', uuid: C, previous: { uuid: A } }]);
  });

  test('one that shut down and resumed is not told of; one that then shut down is', () => {
    const down = domain(1, { shutdown: true, shutdownReason: 'suspend' });
    const there = [change('shutdown', domain(1), down), change('resumed', down, domain(1))];
    expect(told(there)).toEqual([]);
    expect(told([...there, change('shutdown', domain(1), down)])).toEqual([['shutdown', 1, A]]);
  });

  test('one whose domid another has by now has ended, and the other has begun', () => {
    expect(told([destroyed(domain(1)), created(domain(1, { uuid: B }))])).toEqual([
      ['destroyed', 1, A],
      ['created', 1, B],
    ]);
  });

  test('one with the same UUID at the same domid, but another one, has ended and begun too', () => {
    expect(told([destroyed(domain(1)), created(domain(1))])).toEqual([
      ['destroyed', 1, A],
      ['created', 1, A],
    ]);
  });

  test('one that came and is dying by now is created, then dying', () => {
    const dead = domain(1, { dying: true });
    expect(told([created(domain(1)), change('dying', domain(1), dead)])).toEqual([
      ['created', 1, A],
      ['dying', 1, A],
    ]);
  });

  test('ends come first, so that a VM that was rebooted ends before it begins', () => {
    expect(told([created(domain(2)), destroyed(domain(1))])).toEqual([
      ['destroyed', 1, A],
      ['created', 2, A],
    ]);
  });

  test('of nothing there is nothing', () => {
    expect(conflate([])).toEqual([]);
  });
});
