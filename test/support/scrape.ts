/** Gets the metrics of a service, as Prometheus does. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';

/** @throws Error unless the status is 200. */
export async function scrape(socketPath: string): Promise<string> {
  const request = get({ socketPath, path: '/metrics', agent: false });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
  return await text(response);
}
