/** How dom0 tells the host what the demonstration shows; `+ name` for each VM started. */
export const DEMO_LINE = 'demo: ';
