/** How dom0 tells the host of each test. */
export const RESULT_LINE = 'lab: test ';
