/** A log fit for the journal. */

export type LogLevel = 'error' | 'warning' | 'info';
export type Log = (level: LogLevel, message: string) => void;

/** `sd-daemon.h`: SD_ERR, SD_WARNING, SD_INFO. */
const PREFIX: Readonly<Record<LogLevel, string>> = { error: '<3>', warning: '<4>', info: '<6>' };

/**
 * @param write to standard error.
 * @param inJournal whether standard error is the journal, which takes the level off each line.
 */
export function lineLog(write: (text: string) => void, inJournal: boolean): Log {
  return (level, message) => {
    // A client may have had its say in the message: it stays one line.
    const line = message.replace(/\p{Cc}+/gu, ' ');
    write(inJournal ? `${PREFIX[level]}${line}\n` : `xen-domid: ${level}: ${line}\n`);
  };
}
