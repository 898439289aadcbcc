/** Abort callbacks of any number of calls that share one AbortSignal. */

interface Registration {
  readonly callback: () => void;
}

interface Shared {
  readonly registrations: Set<Registration>;
  readonly listener: () => void;
}

const sharedBySignal = new WeakMap<AbortSignal, Shared>();

/**
 * Calls `callback` once when `signal` is aborted.
 *
 * All registrations of a signal share one listener, because Node warns about a leak
 * (MaxListenersExceededWarning) from 11 listeners on. The last registration that is removed removes the listener.
 * @param signal without one, or with a signal that is aborted already, nothing is registered: check `aborted` first.
 * @returns removes the registration; may be called any number of times.
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined || signal.aborted) return () => undefined;
  const shared = sharedBySignal.get(signal) ?? listenTo(signal);
  const { registrations, listener } = shared;
  const registration = { callback };
  registrations.add(registration);
  return () => {
    if (!registrations.delete(registration) || registrations.size > 0) return;
    signal.removeEventListener('abort', listener);
    sharedBySignal.delete(signal);
  };
}

function listenTo(signal: AbortSignal): Shared {
  const registrations = new Set<Registration>();
  const listener = (): void => {
    sharedBySignal.delete(signal);
    for (const registration of registrations) {
      registrations.delete(registration);
      run(registration.callback);
    }
  };
  const shared = { registrations, listener };
  sharedBySignal.set(signal, shared);
  signal.addEventListener('abort', listener, { once: true });
  return shared;
}

/** A callback that throws does not keep the others from running; the error is uncaught, as with a listener of its own. */
function run(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}
