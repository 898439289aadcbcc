/** Binds libxencall.so.1 with koffi. No other file uses koffi or libxencall directly. */
import { setTimeout as sleep } from 'node:timers/promises';
import koffi from 'koffi';
import { ErrorCode, XenError } from '../xen-error.ts';
import { checkDevices } from './devices.ts';
import { errnoName } from './hypercall-error.ts';
import type { HypercallMemory, Xencall } from './xencall.ts';

const LIBRARY = 'libxencall.so.1';
const PAGE_BYTES = 4096;
/** XTL_ERROR of `xentoollog.h`. */
const XTL_ERROR = 8;
/** Maximum attempts to start a hypercall on a thread, and the delay after koffi refuses one, ms. */
const THREAD_TRIES = 20;
const THREAD_RETRY_MS = 10;

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

/** koffi throws "Too many asynchronous calls are running" while the process has 256 of them, in any library. */
function refusedByKoffi(cause: unknown): XenError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new XenError(
    ErrorCode.HYPERCALL,
    `koffi cannot start a hypercall on a thread: ${reason}; make fewer asynchronous koffi calls at a time`,
    { errno: 'EAGAIN', syscall: 'xencall1', cause },
  );
}

interface Logger {
  /** 0 if none could be created: libxencall then logs to stderr. */
  readonly address: number;
  free(): void;
}

/** Creates a logger that discards everything: without one, libxencall writes to stderr. */
function silentLogger(): Logger {
  const libc = loadLibrary('libc.so.6');
  const tools = loadLibrary('libxentoollog.so.1');
  const stream = libc.func('uint64_t fopen(const char *path, const char *mode)')(
    '/dev/null',
    'w',
  ) as number;
  if (stream === 0) return { address: 0, free: () => undefined };
  const create = tools.func(
    'uint64_t xtl_createlogger_stdiostream(uint64_t stream, int min_level, unsigned int flags)',
  );
  const address = create(stream, XTL_ERROR, 0) as number;
  return {
    address,
    free() {
      if (address !== 0) tools.func('void xtl_logger_destroy(uint64_t logger)')(address);
      libc.func('int fclose(uint64_t stream)')(stream);
    },
  };
}

/**
 * Opens libxencall on this machine's Xen.
 * @throws XenError `ERR_NO_XEN`, `ERR_NOT_PERMITTED`, `ERR_LIBRARY_MISSING`, `ERR_HYPERCALL`.
 */
export function openXencall(): Xencall {
  checkDevices();
  const library = loadLibrary(LIBRARY);
  // Pointers as numbers, because a BigInt would be an allocation on each call.
  const open = library.func('uint64_t xencall_open(uint64_t logger, unsigned int flags)');
  const close = library.func('int xencall_close(uint64_t handle)');
  const call1 = library.func('int xencall1(uint64_t handle, unsigned int op, uint64_t arg1)');
  const allocPages = library.func('uint64_t xencall_alloc_buffer_pages(uint64_t handle, size_t n)');
  const freePages = library.func(
    'void xencall_free_buffer_pages(uint64_t handle, uint64_t p, size_t n)',
  );

  const logger = silentLogger();
  const handle = open(logger.address, 0) as number;
  if (handle === 0) {
    const error = libraryError('xencall_open', 'libxencall cannot open the hypervisor');
    logger.free();
    throw error;
  }
  const allocated: HypercallMemory[] = [];
  const callOnThread = (hypercall: number, argument: number): Promise<number> =>
    new Promise((resolve, reject) => {
      call1.async(handle, hypercall, argument, (error: Error | null, result: number) => {
        if (error !== null) reject(error);
        else resolve(result < 0 ? -koffi.errno() : result);
      });
    });

  return {
    call(hypercall, argument) {
      const result = call1(handle, hypercall, argument) as number;
      return result < 0 ? -koffi.errno() : result;
    },
    async callAsync(hypercall, argument) {
      for (let tries = 1; ; tries++) {
        try {
          // oxlint-disable-next-line no-await-in-loop -- another attempt after koffi refused
          return await callOnThread(hypercall, argument);
        } catch (cause) {
          if (tries === THREAD_TRIES) throw refusedByKoffi(cause);
          // oxlint-disable-next-line no-await-in-loop
          await sleep(THREAD_RETRY_MS);
        }
      }
    },
    allocate(byteLength) {
      const pages = Math.ceil(byteLength / PAGE_BYTES);
      const address = allocPages(handle, pages) as number;
      if (address === 0) {
        throw libraryError(
          'xencall_alloc_buffer_pages',
          `cannot allocate ${pages} pages for hypercalls; without /dev/xen/hypercall they must be locked, so raise the limit (ulimit -l, LimitMEMLOCK=)`,
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
      logger.free();
    },
  };
}
