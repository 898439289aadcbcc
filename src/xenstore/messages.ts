/** Constants of xenstore's protocol: message types, error names and limits of `xen/include/public/io/xs_wire.h`. */

/** `enum xsd_sockmsg_type`: the same numbers in every release; 20 was removed. A daemon answers ENOSYS to an unknown type. */
export const XsdType = {
  /** XS_CONTROL, called XS_DEBUG before 4.9. */
  CONTROL: 0,
  DIRECTORY: 1,
  READ: 2,
  GET_PERMS: 3,
  WATCH: 4,
  UNWATCH: 5,
  TRANSACTION_START: 6,
  TRANSACTION_END: 7,
  INTRODUCE: 8,
  RELEASE: 9,
  GET_DOMAIN_PATH: 10,
  WRITE: 11,
  MKDIR: 12,
  RM: 13,
  SET_PERMS: 14,
  /** Only the daemon sends it, without a request, with req_id and tx_id 0. */
  WATCH_EVENT: 15,
  /** Only the daemon sends it, with the req_id of the failed request. */
  ERROR: 16,
  IS_DOMAIN_INTRODUCED: 17,
  RESUME: 18,
  SET_TARGET: 19,
  RESET_WATCHES: 21,
  /** C xenstored since 4.9. Not in oxenstored of the Xen source tree. */
  DIRECTORY_PART: 22,
  /** This and SET_FEATURE: C xenstored since 4.21. */
  GET_FEATURE: 23,
  SET_FEATURE: 24,
  /** This and SET_QUOTA: C xenstored since 4.22. */
  GET_QUOTA: 25,
  SET_QUOTA: 26,
  INVALID: 0xffff,
} as const;

export type XsdType = (typeof XsdType)[keyof typeof XsdType];

const TYPE_NAMES = new Map<number, string>(
  Object.entries(XsdType).map(([name, type]) => [type, name]),
);

/** Returns the name of a message type, for example `READ`; `type N` for an unknown one. */
export function typeName(type: number): string {
  return TYPE_NAMES.get(type) ?? `type ${type}`;
}

/**
 * Error names of ERROR messages: `xsd_errors` of `xs_wire.h` (EPERM since 4.17), and EQUOTA, which only oxenstored
 * sends.
 */
export const XSD_ERRORS = [
  'EINVAL',
  'EACCES',
  'EEXIST',
  'EISDIR',
  'ENOENT',
  'ENOMEM',
  'ENOSPC',
  'EIO',
  'ENOTEMPTY',
  'ENOSYS',
  'EROFS',
  'EBUSY',
  'EAGAIN',
  'EISCONN',
  'E2BIG',
  'EPERM',
  'EQUOTA',
] as const;

export type XsdError = (typeof XSD_ERRORS)[number];

/** XENSTORE_PAYLOAD_MAX: longest payload of a message, bytes. Only oxenstored's replies on sockets exceed it. */
export const XENSTORE_PAYLOAD_MAX = 4096;

/** XENSTORE_ABS_PATH_MAX: the longest absolute path, bytes without the NUL. */
export const XENSTORE_ABS_PATH_MAX = 3072;
