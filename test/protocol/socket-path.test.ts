import { afterEach, describe, expect, it } from '@jest/globals';
import { DEFAULT_SOCKET_PATH, serviceSocketPath } from '../../src/protocol/socket-path.ts';
import { ErrorCode } from '../../src/xen-error.ts';

afterEach(() => {
  delete process.env['XEN_DOMID_SOCKET'];
});

describe('the path of the socket', () => {
  it.each([
    ['/run/x', '/run/x'],
    ['x.sock', 'x.sock'],
    ['unix:/run/x', '/run/x'],
    ['unix:///run/x', '/run/x'],
    ['unix:x.sock', 'x.sock'],
    ['./unix:x', './unix:x'],
    ['./@x', './@x'],
    ['unix:', 'unix:'],
    ['', DEFAULT_SOCKET_PATH],
  ])('of %j is %s', (given, path) => {
    expect(serviceSocketPath(given)).toBe(path);
  });

  it('may come from the environment, in the same forms', () => {
    process.env['XEN_DOMID_SOCKET'] = 'unix:///run/y';
    expect(serviceSocketPath()).toBe('/run/y');
    expect(serviceSocketPath('/run/x')).toBe('/run/x');
  });

  it.each(['@name', 'unix:@name'])('is not %s: an abstract name has no permissions', (name) => {
    expect(() => serviceSocketPath(name)).toThrow(
      expect.objectContaining({
        code: ErrorCode.SOCKET_REFUSED,
        message: expect.stringMatching(/abstract.*permissions.*\.\/@name/),
      }),
    );
  });
});
