/** Log lines for the journal or a terminal. */

export type LogLevel = 'error' | 'warning' | 'info';
export type Log = (level: LogLevel, message: string) => void;

/** `sd-daemon.h`: SD_ERR, SD_WARNING, SD_INFO. */
const PREFIX: Readonly<Record<LogLevel, string>> = { error: '<3>', warning: '<4>', info: '<6>' };

/**
 * Returns a log that writes one line a message.
 * @param write writes to standard error.
 * @param inJournal whether standard error is the journal, which strips the level prefix from each line.
 */
export function lineLog(write: (text: string) => void, inJournal: boolean): Log {
  return (level, message) => {
    // A message may contain text from a client: keep it on one line.
    const line = message.replace(/\p{Cc}+/gu, ' ');
    write(inJournal ? `${PREFIX[level]}${line}\n` : `xen-domid: ${level}: ${line}\n`);
  };
}
