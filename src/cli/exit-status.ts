/** The exit status of a command. Of several that apply, the highest. */
export const ExitStatus = { done: 0, notFound: 1, usage: 2, ambiguous: 3, unavailable: 4 } as const;
export type ExitStatus = (typeof ExitStatus)[keyof typeof ExitStatus];
