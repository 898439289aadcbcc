/** The end of a connection as an AbortSignal, for the calls that are made for its client. */
import type { Socket } from 'node:net';

const closings = new WeakMap<Socket, AbortController>();

/** Returns a signal that is aborted when the socket has closed. Made when it is first needed: most requests need none. */
export function closeSignal(socket: Socket): AbortSignal {
  const made = closings.get(socket);
  if (made !== undefined) return made.signal;
  const closing = new AbortController();
  closings.set(socket, closing);
  // With a reason, because Node would make an error with a stack.
  const abort = (): void => closing.abort(true);
  if (socket.destroyed) abort();
  else socket.once('close', abort);
  return closing.signal;
}
