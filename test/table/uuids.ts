/** UUIDs for tables: random ones that a number determines. */
import { createHash } from 'node:crypto';
import { parseUuid, type Uuid } from '../../src/uuid.ts';

export function uuidOfNumber(number: number): Uuid {
  const hex = createHash('sha256').update(`uuid ${number}`).digest('hex');
  return parseUuid(
    `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`,
  );
}
