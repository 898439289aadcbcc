import { expect, test } from '@jest/globals';
import { expectTypeOf } from 'expect-type';
import type { Domain } from '../../src/domain.ts';
import type { Inventory } from '../../src/inventory/inventory.ts';
import type { GetResult, LookupResult, Source } from '../../src/results.ts';
import { uuidOf } from '../support/vms.ts';

/** Written like a caller's code: it compiles only while every case is there. */
function describeResult(result: LookupResult): string {
  switch (result.status) {
    case 'found':
      return `domid ${result.domain.domid}, by ${result.source}`;
    case 'notFound':
      return 'no domain';
    case 'ambiguous':
      return `domids ${result.domains.map(({ domid }) => domid).join(' and ')}`;
    case 'unavailable':
      return `no answer: ${result.cause}`;
    default:
      return result satisfies never;
  }
}

test('the compiler asks for every case of a result', () => {
  expectTypeOf<LookupResult['status']>().toEqualTypeOf<
    'found' | 'notFound' | 'ambiguous' | 'unavailable'
  >();
  expectTypeOf<GetResult['status']>().toEqualTypeOf<'found' | 'notFound' | 'unavailable'>();
  // Without a check of its status, no result has a domain to read.
  expectTypeOf<LookupResult>().not.toHaveProperty('domain');
  expectTypeOf<Extract<LookupResult, { status: 'found' }>['domain']>().toEqualTypeOf<Domain>();
  expectTypeOf<Extract<LookupResult, { status: 'notFound' }>>().not.toHaveProperty('domain');
  expectTypeOf<Source>().toEqualTypeOf<'cache' | 'next' | 'xenstore' | 'list'>();
  expect(describeResult({ status: 'notFound' })).toBe('no domain');
  expect(describeResult({ status: 'unavailable', cause: 'timeout' })).toBe('no answer: timeout');
});

test('domains are read-only', () => {
  expectTypeOf<Domain>().toEqualTypeOf<Readonly<Domain>>();
  expectTypeOf<Inventory['lookup']>().returns.resolves.toEqualTypeOf<LookupResult>();
  expectTypeOf<Inventory['lookupMany']>().returns.resolves.toEqualTypeOf<LookupResult[]>();
  expectTypeOf<Inventory['get']>().parameter(0).toEqualTypeOf<number>();
  expectTypeOf(uuidOf(1)).toExtend<string>();
});
