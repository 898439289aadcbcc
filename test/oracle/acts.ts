/** Random acts of toolstacks, guests and Xen on a host. Few domids and few UUIDs, so that they collide. */
import { namesNoVm } from '../../src/vm-uuid.ts';
import {
  type HandleWrite,
  NIL_UUID,
  type SimulatedDomain,
  type SimulatedHost,
  tombstoneOf,
} from '../../src/simulator/index.ts';
import { parseUuid, type Uuid } from '../../src/uuid.ts';
import { Lottery, type Random } from '../support/random.ts';

const half = (n: number): string => `${n}`.repeat(4);
const uuidOf = (first: number, second: number): Uuid =>
  parseUuid(
    `${half(first)}${half(first)}-${half(first)}-4${half(first).slice(1)}-8${half(second).slice(1)}-${half(second)}${half(second)}${half(second)}`,
  );

/** UUIDs of VMs. The fifth shares one half with each of the first two, like a torn read of them; the last has a zero half. */
export const UUIDS: readonly Uuid[] = [
  uuidOf(1, 1),
  uuidOf(2, 2),
  uuidOf(3, 3),
  uuidOf(4, 4),
  uuidOf(1, 2),
  parseUuid('00000000-0000-0000-8555-555555555555'),
];

const HIGHEST_NAMED = 9;

type Act = (acts: Acts) => void;

export class Acts {
  readonly #host: SimulatedHost;
  readonly #random: Random;
  readonly #trace: (text: string) => void;
  readonly #writes: HandleWrite[] = [];
  /** The number of the domain that has each unique id. */
  readonly #incarnations = new Map<string, number>();

  constructor(host: SimulatedHost, random: Random, trace: (text: string) => void) {
    this.#host = host;
    this.#random = random;
    this.#trace = trace;
    this.#note(0);
  }

  perform(): void {
    LOTTERY.draw(this.#random)(this);
  }

  /** Writes the next part of a handle that is being written. */
  stepWrite(): void {
    this.#forgetDone();
    if (this.#writes.length === 0) return;
    const write = this.#random.pick(this.#writes);
    this.#trace(`handle of ${write.domid} written on`);
    write.step();
  }

  /** Completes a pending write, like anything that takes the domain's lock, a single look included. */
  finishWrite(domid: number): void {
    for (const write of this.#writes) if (write.domid === domid) write.finish();
    this.#forgetDone();
  }

  finishAll(): void {
    for (const write of this.#writes) write.finish();
    this.#forgetDone();
  }

  create(domid?: number): void {
    if (this.#host.size > 12 || (domid !== undefined && this.#host.get(domid) !== undefined))
      return;
    const uuid = this.#random.chance(0.08) ? NIL_UUID : this.#uuid();
    const write = this.#create(uuid, domid);
    this.#trace(`create ${write.domid} ${uuid}${write.done ? '' : ', handle late'}`);
    this.#later(write);
  }

  createNamed(): void {
    this.create(1 + this.#random.below(HIGHEST_NAMED));
  }

  /** Reboots a domain: it is destroyed and created again with the same UUID. */
  reboot(): void {
    const domain = this.#domain();
    if (domain === undefined || domain.stage !== 'live') return;
    this.finishWrite(domain.domid);
    const { domid, uuid } = domain;
    if (namesNoVm(uuid)) return;
    if (this.#random.chance(0.3)) this.#host.shutdown(domid, 1);
    this.#trace(`destroy ${domid}, to boot again`);
    this.#host.destroy(domid);
    if (this.#random.chance(0.2)) return;
    const write = this.#create(uuid);
    this.#trace(`create ${write.domid} ${uuid} again`);
    this.#later(write);
  }

  /** Replaces a domain by another one at the same domid: only their unique ids and CPU times tell them apart. */
  replace(): void {
    const domain = this.#domain();
    if (domain === undefined || domain.stage !== 'live' || domain.holds > 0) return;
    const { domid } = domain;
    this.finishWrite(domid);
    const before = domain.uuid;
    this.#host.destroy(domid);
    const uuid = this.#random.chance(0.3) ? before : this.#uuid();
    if (namesNoVm(uuid)) return;
    this.#trace(`replace ${domid} ${before} by ${uuid}`);
    const write = this.#create(uuid, domid);
    if (this.#random.chance(0.3)) this.#host.shutdown(domid, 1);
    this.#later(write);
  }

  /** Changes a domain, or the number of domains, so that a look at the returned domid shows a change. */
  churn(): number | undefined {
    const random = this.#random;
    const domain = this.#domain();
    if (domain === undefined || random.chance(0.1)) {
      if (this.#host.size > 9) return undefined;
      const write = this.#create(this.#uuid());
      write.finish();
      return write.domid;
    }
    const { domid, stage, holds } = domain;
    // Else zombies that are held could take all places: nothing would change any more.
    if (stage !== 'live' && holds > 0) this.#host.release(domid);
    else if (stage !== 'live' || random.chance(0.1)) this.#host.destroy(domid);
    else if (random.chance(0.4)) this.#host.setHandle(domid, this.#uuid());
    else if (domain.shutdownCode === undefined) this.#host.shutdown(domid, random.below(6));
    else this.#host.resume(domid);
    return domid;
  }

  /** Introduces every domain, so that its end is announced. */
  introduceAll(): void {
    for (const { domid, stage } of Array.from(this.#host.domains()))
      if (stage === 'live' && domid !== 0) this.#host.introduce(domid);
  }

  /** Ends a domain or its guest, which is announced. */
  end(): void {
    const domain = this.#domain();
    if (domain?.stage !== 'live') return;
    this.#trace(`end ${domain.domid}`);
    if (this.#random.chance(0.5)) this.#host.destroy(domain.domid);
    else this.#host.shutdown(domain.domid, 0);
  }

  /** Makes the holders of a UUID die or change. */
  changeHolders(uuid: Uuid): void {
    for (const { domid, uuid: held, stage } of Array.from(this.#host.domains())) {
      if (held !== uuid || stage !== 'live' || domid === 0) continue;
      this.finishWrite(domid);
      this.#trace(`the holder ${domid} of ${uuid} changes`);
      if (this.#random.chance(0.5)) this.#host.die(domid);
      else this.#host.setHandle(domid, this.#uuid());
    }
  }

  /** The number of the domain that has a unique id; undefined if none ever had it. */
  incarnationOf(uniqueId: string): number | undefined {
    return this.#incarnations.get(uniqueId);
  }

  setHandle(uuid: Uuid = this.#uuid()): void {
    const domain = this.#domain();
    if (domain === undefined) return;
    this.finishWrite(domain.domid);
    this.#trace(`set handle of ${domain.domid} to ${uuid}`);
    this.#later(this.#host.beginSetHandle(domain.domid, uuid));
  }

  setTombstone(): void {
    const domain = this.#domain();
    if (domain === undefined) return;
    this.finishWrite(domain.domid);
    this.#trace(`tombstone for ${domain.domid}`);
    this.#later(this.#host.beginSetHandle(domain.domid, tombstoneOf(domain.domid)));
  }

  /** Moves a UUID from one domain to another. */
  move(): void {
    const [from, to] = [this.#domain(), this.#domain()];
    if (from === undefined || to === undefined || from.domid === to.domid) return;
    this.finishWrite(from.domid);
    const { uuid } = from;
    if (namesNoVm(uuid)) return;
    this.#trace(`${uuid} goes from ${from.domid} to ${to.domid}`);
    this.#host.setHandle(from.domid, this.#uuid());
    this.#host.setHandle(to.domid, uuid);
  }

  on(
    name: string,
    act: (domid: number) => void,
    which: (domain: SimulatedDomain) => boolean,
  ): void {
    const domain = this.#domain();
    if (domain === undefined || !which(domain)) return;
    this.#trace(`${name} ${domain.domid}`);
    act(domain.domid);
  }

  get host(): SimulatedHost {
    return this.#host;
  }

  get random(): Random {
    return this.#random;
  }

  #uuid(): Uuid {
    return UUIDS[
      this.#random.chance(0.15) ? 4 + this.#random.below(2) : this.#random.below(4)
    ] as Uuid;
  }

  #create(uuid: Uuid, domid?: number): HandleWrite {
    const write = this.#host.beginCreate({ uuid, ...(domid !== undefined && { domid }) });
    this.#note(write.domid);
    return write;
  }

  #note(domid: number): void {
    const domain = this.#host.get(domid);
    if (domain !== undefined) this.#incarnations.set(`${domain.uniqueId}`, domain.incarnation);
  }

  #later(write: HandleWrite): void {
    if (this.#random.chance(0.5)) write.finish();
    if (!write.done) this.#writes.push(write);
  }

  #domain(): SimulatedDomain | undefined {
    const domains = [...this.#host.domains()].slice(1);
    return domains.length === 0 ? undefined : this.#random.pick(domains);
  }

  #forgetDone(): void {
    for (let index = this.#writes.length - 1; index >= 0; index--) {
      const write = this.#writes[index] as HandleWrite;
      const holder = this.#host.get(write.domid);
      if (write.done || holder === undefined) this.#writes.splice(index, 1);
    }
  }
}

const isLive = ({ stage }: SimulatedDomain): boolean => stage === 'live';
const any = (): boolean => true;

const LOTTERY = new Lottery<Act>([
  [8, (acts) => acts.create()],
  [6, (acts) => acts.createNamed()],
  [5, (acts) => acts.reboot()],
  [5, (acts) => acts.replace()],
  [8, (acts) => acts.setHandle()],
  [2, (acts) => acts.setHandle(NIL_UUID)],
  [3, (acts) => acts.setTombstone()],
  [3, (acts) => acts.move()],
  [10, (acts) => acts.stepWrite()],
  [8, (acts) => acts.on('introduce', (domid) => acts.host.introduce(domid), isLive)],
  [4, (acts) => acts.on('unpause', (domid) => acts.host.unpause(domid), isLive)],
  [2, (acts) => acts.on('pause', (domid) => acts.host.pause(domid), isLive)],
  [
    4,
    (acts) =>
      acts.on('shut down', (domid) => acts.host.shutdown(domid, acts.random.below(6)), isLive),
  ],
  [2, (acts) => acts.on('suspend', (domid) => acts.host.suspend(domid, { silent: true }), isLive)],
  [2, (acts) => acts.on('resume', (domid) => acts.host.resume(domid), isLive)],
  [2, (acts) => acts.on('hold', (domid) => acts.host.hold(domid), any)],
  [
    3,
    (acts) =>
      acts.on(
        'release',
        (domid) => acts.host.release(domid),
        ({ holds }) => holds > 0,
      ),
  ],
  [2, (acts) => acts.on('tear down', (domid) => acts.host.beginTeardown(domid), isLive)],
  [3, (acts) => acts.on('die', (domid) => acts.host.die(domid), any)],
  [3, (acts) => acts.on('reap', (domid) => acts.host.reap(domid), any)],
  [4, (acts) => acts.on('destroy', (domid) => acts.host.destroy(domid), any)],
]);
