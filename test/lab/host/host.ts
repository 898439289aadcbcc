/** A host and the ways in which tests ask it. */
import assert from 'node:assert/strict';

import type { Machine, Said } from './machine.ts';

export class Host {
  readonly machine: Machine;

  constructor(machine: Machine) {
    this.machine = machine;
  }

  /** Runs `script` with the functions of `payload/lab.sh`. */
  async say(script: string, timeoutMs?: number): Promise<Said> {
    return this.machine.sh(`. /srv/lab.sh\n${script}`, timeoutMs);
  }

  /**
   * What `script` writes.
   * @throws AssertionError unless it exits with 0.
   */
  async ok(script: string, timeoutMs?: number): Promise<string> {
    const { status, out } = await this.say(script, timeoutMs);
    assert.equal(status, 0, `exit status ${status} of:\n${script}\n${out}`);
    return out;
  }

  /** Asserts that `script` succeeds and writes `expected`: all of it, or what matches it. */
  async expect(script: string, expected: string | RegExp, timeoutMs?: number): Promise<void> {
    const out = await this.ok(script, timeoutMs);
    if (typeof expected === 'string') assert.equal(out, expected);
    else assert.match(out, expected);
  }

  /** The output that is shown with a failed check. */
  async state(): Promise<string> {
    const { out } = await this.say(
      'systemctl --no-pager --lines=0 status "xen-domid*"; journalctl --no-pager -b -u "xen-domid*" | tail -n 15',
    );
    return out;
  }
}
