/** JSON-RPC by POST. */

const TIMEOUT_MS = 10_000;

/**
 * Calls a method of the service.
 * @throws Error with the service's message, or with the reason why the service was not reached.
 */
export async function call<Result>(method: string, params: object = {}): Promise<Result> {
  const response = await fetch('/', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`${method}: HTTP status ${response.status}`);
  const { result, error } = (await response.json()) as {
    result?: Result;
    error?: { message: string };
  };
  if (result === undefined) throw new Error(error?.message ?? `${method}: no result`);
  return result;
}
