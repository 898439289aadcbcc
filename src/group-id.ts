/** Groups that files are given to. */
import { readFileSync } from 'node:fs';
import { type ErrorCode, XenError } from './xen-error.ts';

/**
 * Returns the number of a group.
 * @param group its name or number.
 * @throws XenError with `code` where there is no such group.
 */
export function groupId(group: string, code: ErrorCode): number {
  if (/^\d{1,9}$/.test(group)) return Number(group);
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${group}:`));
  const id = line?.split(':')[2];
  if (id === undefined || !/^\d+$/.test(id)) {
    throw new XenError(
      code,
      `there is no group ${JSON.stringify(group)} in /etc/group: create it (groupadd --system), or give its number`,
    );
  }
  return Number(id);
}

/** Says why a file could not be given to a group. @param errno such as `EPERM`. */
export function cannotGive(group: string, errno: string): string {
  const hint =
    errno === 'EPERM'
      ? `. Without CAP_CHOWN only a member of the group can: write SupplementaryGroups=${group} in the service unit`
      : '';
  return `it cannot be given to group ${group} (${errno})${hint}`;
}
