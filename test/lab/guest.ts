/** Guests that `xl` creates in the lab: their behaviour and configuration. */

/** First letter of the unikernels' command line. A digit is the code with which they shut down. */
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
/** Example: `pv-block` or `pvh-poweroff`. */
export type GuestKind = `${'pv' | 'pvh'}-${GuestBehaviour}`;

export interface Guest {
  readonly kind: GuestKind;
  readonly name: string;
  readonly uuid?: string;
  /** MiB; 4 for PV and 8 for PVH by default. */
  readonly memory?: number;
  readonly vcpus?: number;
}

/** Returns the text of `guest`'s configuration file. A guest that shuts down stays, for inspection. */
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
