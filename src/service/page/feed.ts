/** The change feed, which goes on after a lost connection and after a restart of the service. */
import type { Change } from '../../change.ts';
import type { Domain } from '../../domain.ts';

/** Time before a new stream after one that the browser gave up, such as after a 503. */
const RETRY_MS = 1000;

export interface FeedListener {
  /** All domains: the first time, and whenever the changes since the last event are not known. */
  onDomains(domains: readonly Domain[]): void;
  onChanges(changes: readonly Change[]): void;
  onOpen(): void;
  /** The connection is lost. The browser connects again, and sends the token of the last event. */
  onLost(): void;
}

export function follow(listener: FeedListener): void {
  const source = new EventSource('/events');
  const onDomains = ({ data }: MessageEvent<string>): void => {
    listener.onDomains((JSON.parse(data) as { domains: Domain[] }).domains);
  };
  source.addEventListener('open', () => listener.onOpen());
  source.addEventListener('snapshot', onDomains);
  source.addEventListener('resync', onDomains);
  source.addEventListener('changes', ({ data }: MessageEvent<string>) => {
    listener.onChanges((JSON.parse(data) as { changes: Change[] }).changes);
  });
  source.addEventListener('error', () => {
    listener.onLost();
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(listener), RETRY_MS);
  });
}
