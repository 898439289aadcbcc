/** libxencall.so.1 through koffi: the only file that knows of either. */
import koffi from 'koffi';
import { ErrorCode, XenError } from '../xen-error.ts';
import { checkDevices } from './devices.ts';
import { errnoName } from './hypercall-error.ts';
import type { HypercallMemory, Xencall } from './xencall.ts';

const LIBRARY = 'libxencall.so.1';
const PAGE_BYTES = 4096;
/** XTL_ERROR of `xentoollog.h`; the stream it would go to is /dev/null all the same. */
const XTL_ERROR = 8;

function loadLibrary(name: string): ReturnType<typeof koffi.load> {
  try {
    return koffi.load(name);
  } catch (cause) {
    throw new XenError(
      ErrorCode.LIBRARY_MISSING,
      `cannot load ${name}: install Xen's runtime libraries (Debian: apt-get install libxencall1; XCP-ng, XenServer, Fedora: the package xen-libs)`,
      { cause },
    );
  }
}

function libraryError(syscall: string, what: string): XenError {
  const errno = errnoName(koffi.errno());
  return new XenError(ErrorCode.HYPERCALL, `${what} (${syscall}: ${errno})`, { errno, syscall });
}

/** A logger for libxencall that is not stderr, which it would take by itself. */
function silentLogger(): number {
  const fopen = loadLibrary('libc.so.6').func('uint64_t fopen(const char *path, const char *mode)');
  const createLogger = loadLibrary('libxentoollog.so.1').func(
    'uint64_t xtl_createlogger_stdiostream(uint64_t stream, int min_level, unsigned int flags)',
  );
  const stream = fopen('/dev/null', 'w') as number;
  return stream === 0 ? 0 : (createLogger(stream, XTL_ERROR, 0) as number);
}

/**
 * Opens libxencall on this machine's Xen.
 * @throws XenError `ERR_NO_XEN`, `ERR_NOT_PERMITTED`, `ERR_LIBRARY_MISSING`.
 */
export function openXencall(): Xencall {
  checkDevices();
  const library = loadLibrary(LIBRARY);
  // Pointers as numbers: a BigInt for each would be garbage on each call.
  const open = library.func('uint64_t xencall_open(uint64_t logger, unsigned int flags)');
  const close = library.func('int xencall_close(uint64_t handle)');
  const call1 = library.func('int xencall1(uint64_t handle, unsigned int op, uint64_t arg1)');
  const allocPages = library.func('uint64_t xencall_alloc_buffer_pages(uint64_t handle, size_t n)');
  const freePages = library.func(
    'void xencall_free_buffer_pages(uint64_t handle, uint64_t p, size_t n)',
  );

  const handle = open(silentLogger(), 0) as number;
  if (handle === 0) throw libraryError('xencall_open', 'libxencall cannot open the hypervisor');
  const allocated: HypercallMemory[] = [];

  return {
    call(hypercall, argument) {
      const result = call1(handle, hypercall, argument) as number;
      return result < 0 ? -koffi.errno() : result;
    },
    callAsync(hypercall, argument) {
      return new Promise((resolve, reject) => {
        call1.async(handle, hypercall, argument, (error: Error | null, result: number) => {
          if (error !== null) reject(error);
          else resolve(result < 0 ? -koffi.errno() : result);
        });
      });
    },
    allocate(byteLength) {
      const pages = Math.ceil(byteLength / PAGE_BYTES);
      const address = allocPages(handle, pages) as number;
      if (address === 0) {
        throw libraryError(
          'xencall_alloc_buffer_pages',
          `cannot have ${pages} pages that Xen may write to; without /dev/xen/hypercall they must be locked, so raise the limit (ulimit -l, LimitMEMLOCK=)`,
        );
      }
      const memory = {
        address,
        view: new DataView(koffi.view(BigInt(address), pages * PAGE_BYTES)),
      };
      allocated.push(memory);
      return memory;
    },
    close() {
      for (const { address, view } of allocated) {
        freePages(handle, address, view.byteLength / PAGE_BYTES);
      }
      close(handle);
    },
  };
}
