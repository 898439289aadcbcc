/** How dom0 tells the host of each test. */
export const RESULT_LINE = 'lab: test ';
/** How a suite tells the host what it measured. */
export const NOTE_LINE = 'lab: note ';
/** How a payload tells the host what it is busy with. */
export const DOING_LINE = 'lab: doing ';
