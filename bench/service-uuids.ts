/** The UUIDs of the benchmark's VMs, by number. */
import { parseUuid, type Uuid } from '../src/uuid.ts';

export function uuidOf(n: number): Uuid {
  return parseUuid(`6d4f1a5e-0b7c-4c4e-9d2a-${n.toString(16).padStart(12, '0')}`);
}
