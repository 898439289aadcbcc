/** Prefix of the line for each test, from dom0 to the host. */
export const RESULT_LINE = 'lab: test ';
/** Prefix of a suite's measured figure. */
export const NOTE_LINE = 'lab: note ';
/** Prefix of a payload's current step. */
export const DOING_LINE = 'lab: doing ';
