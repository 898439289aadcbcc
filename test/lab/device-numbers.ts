/** `gnu_dev_major` and `gnu_dev_minor` of glibc (`sysmacros.h`), for majors below 4096. With Linux 6.12, `/dev/xen/privcmd` has a minor over 255. */
export function deviceNumbers(rdev: number): { readonly major: number; readonly minor: number } {
  return { major: (rdev >> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >> 12) & 0xf_ff00) };
}
