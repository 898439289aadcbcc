/** Short answers to HTTP requests. */
import type { ServerResponse } from 'node:http';

export function respondJson(response: ServerResponse, status: number, json: string): void {
  response
    .writeHead(status, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(json),
    })
    .end(json);
}

/** Answers with an error, and ends the connection after it: the rest of the request is not read. */
export function refuse(
  response: ServerResponse,
  status: number,
  why: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response
    .writeHead(status, { 'Content-Type': 'text/plain', Connection: 'close', ...headers })
    .end(`${why}\n`);
}

export function refuseMethod(response: ServerResponse): void {
  refuse(response, 405, 'only GET and HEAD are allowed', { Allow: 'GET, HEAD' });
}
