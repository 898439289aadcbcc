/** Names of the ways to look up that are compared. Tables are in the order of their numbers. */
export const WAY_NAMES = {
  by2: '1: list by 2',
  by1024: '2: list by 1024',
  short: '2b: list to short page',
  once: '3: list in one call',
  xenstoreAlone: '4: xenstore alone',
  likeXl: '5: like xl list -v',
  inProcess: '6: xen-domid',
  overSocket: '7: xen-domid, socket',
  byTable: '8: C agent by the table',
  tableOrSocket: '8b: table, then socket',
  bare: '9: a look at a known domid',
} as const;

/** Ends the names of the lists of 1 to 3 that are made by this project's binding, in Node instead of C. */
export const IN_NODE = ', in Node';
