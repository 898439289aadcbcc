/** The guests that `xl` makes in the lab: what each of them does, and its configuration. */

/** First letter of the command line that the unikernels go by: a digit is the code they shut down with. */
const BEHAVIOUR = {
  block: 'b',
  spin: 's',
  poweroff: '0',
  reboot: '1',
  suspend: '2',
  crash: '3',
  watchdog: '4',
  'soft-reset': '5',
} as const;

export type GuestBehaviour = keyof typeof BEHAVIOUR;
/** As `pv-block` or `pvh-poweroff`. */
export type GuestKind = `${'pv' | 'pvh'}-${GuestBehaviour}`;

export interface Guest {
  readonly kind: GuestKind;
  readonly name: string;
  readonly uuid?: string;
  /** MiB; 4 for PV and 8 for PVH by default. */
  readonly memory?: number;
  readonly vcpus?: number;
}

/** Text of `guest`'s configuration file. A guest that shuts down stays, to be looked at. */
export function guestConfig(guest: Guest, programs: string): string {
  const [type = 'pv', behaviour = 'block'] = guest.kind.split(/-(.*)/s);
  const memory = guest.memory ?? (type === 'pv' ? 4 : 8);
  const lines = [
    `name = "${guest.name}"`,
    `type = "${type}"`,
    `kernel = "${programs}/${type}"`,
    `cmdline = "${BEHAVIOUR[behaviour as GuestBehaviour]}"`,
    `memory = ${memory}`,
    `vcpus = ${guest.vcpus ?? 1}`,
    ...['poweroff', 'reboot', 'watchdog', 'crash', 'soft_reset'].map(
      (event) => `on_${event} = "preserve"`,
    ),
  ];
  if (guest.uuid !== undefined) lines.push(`uuid = "${guest.uuid}"`);
  return `${lines.join('\n')}\n`;
}
