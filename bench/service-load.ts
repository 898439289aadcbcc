/** The load that clients put on a server, and its measurement. */
import type { Socket } from 'node:net';
import { uuidOf } from '../src/storm/work.ts';

export type Method = 'lookup' | 'domid';

export interface Rate {
  readonly perSecond: number;
  /** All answered requests, including the untimed ones at the beginning. */
  readonly requests: number;
}

const NEWLINE = 0x0a;
const FIRST_ID = 100_000;
const CLIENT_MS = 400;
const PIPELINE_MS = 300;

/** The VM that the request with this id looks up. */
const vmOf = (id: number, vms: number): number => 1 + (id % vms);

function request(method: Method, id: number, vms: number): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{"uuid":"${uuidOf(vmOf(id, vms))}"}}\n`;
}

/** Sends one request after the other. Returns the duration of each, in microseconds. */
export function roundTrips(socket: Socket, requests: number, vms: number): Promise<number[]> {
  const took: number[] = [];
  return new Promise((resolve) => {
    let began = 0;
    const ask = (): void => {
      began = performance.now();
      socket.write(request('domid', FIRST_ID + took.length, vms), 'latin1');
    };
    const read = (chunk: Buffer): void => {
      if (chunk.at(-1) !== NEWLINE) return;
      took.push((performance.now() - began) * 1000);
      if (took.length < requests) ask();
      else {
        socket.off('data', read);
        resolve(took);
      }
    };
    socket.on('data', read);
    ask();
  });
}

export function batchOf(method: Method, depth: number, vms: number): string {
  return Array.from({ length: depth }, (_, at) => request(method, FIRST_ID + at, vms)).join('');
}

/** Sends a batch and returns the reply: `wanted` lines, by default as many as the batch has. */
export function exchange(
  socket: Socket,
  batch: string,
  wanted: number = batch.split('\n').length - 1,
): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let lines = 0;
    const read = (chunk: Buffer): void => {
      chunks.push(chunk);
      for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) lines++;
      if (lines < wanted) return;
      socket.off('data', read);
      resolve(Buffer.concat(chunks).toString('latin1'));
    };
    socket.on('data', read);
    socket.write(batch);
  });
}

/** @throws Error unless the request itself comes back. */
export async function checkEcho(socket: Socket): Promise<void> {
  const batch = batchOf('domid', 10, 10);
  if ((await exchange(socket, batch)) !== batch)
    throw new Error('the echo server did not send back the request');
}

/**
 * Looks up each VM.
 * @param domidOf the expected domid of a VM.
 * @throws Error unless each request gets its answer, and the right one.
 */
export async function checkAnswers(
  socket: Socket,
  method: Method,
  vms: number,
  domidOf: (vm: number) => number | undefined,
): Promise<void> {
  const answers = await exchange(socket, batchOf(method, vms, vms));
  const unanswered = new Set(Array.from({ length: vms }, (_, at) => FIRST_ID + at));
  for (const line of answers.trimEnd().split('\n')) {
    const { id, result } = JSON.parse(line) as {
      id: number;
      result: { status: string; domid?: number; domain?: { domid: number; uuid: string } };
    };
    const vm = vmOf(id, vms);
    const { domid } = result.domain ?? result;
    const right =
      unanswered.delete(id) &&
      result.status === 'found' &&
      domid === domidOf(vm) &&
      (method === 'domid' || result.domain?.uuid === uuidOf(vm));
    if (!right) throw new Error(`wrong answer for VM ${vm}: ${line}`);
  }
}

/** Sends batches of `depth` requests, each as soon as the one before is answered. */
export async function pipelined(
  socket: Socket,
  method: Method,
  depth: number,
  vms: number,
): Promise<Rate> {
  const text = batchOf(method, depth, vms);
  const batch = Buffer.from(text, 'latin1');
  // The answers to a batch always have the same length, so the client only counts bytes.
  const { length } = await exchange(socket, text);
  let bytes = 0;
  let batches = 0;
  const began = performance.now();
  await new Promise<void>((resolve) => {
    const read = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes < length) return;
      bytes -= length;
      batches++;
      if (performance.now() - began < PIPELINE_MS) socket.write(batch);
      else {
        socket.off('data', read);
        resolve();
      }
    };
    socket.on('data', read);
    socket.write(batch);
  });
  const perSecond = (batches * depth * 1000) / (performance.now() - began);
  return { perSecond, requests: (batches + 1) * depth };
}

/** Has many clients send requests, each one at a time. */
export async function together(sockets: readonly Socket[], vms: number): Promise<Rate> {
  let answered = 0;
  const began = performance.now();
  await Promise.all(
    sockets.map(
      (socket, index) =>
        new Promise<void>((resolve) => {
          const line = Buffer.from(request('domid', FIRST_ID + index, vms), 'latin1');
          const read = (): void => {
            answered++;
            if (performance.now() - began < CLIENT_MS) socket.write(line);
            else {
              socket.off('data', read);
              resolve();
            }
          };
          socket.on('data', read);
          socket.write(line);
        }),
    ),
  );
  return { perSecond: (answered * 1000) / (performance.now() - began), requests: answered };
}
