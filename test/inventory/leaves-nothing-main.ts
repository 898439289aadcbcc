/** `node --expose-gc leaves-nothing-main.js [EVERY [FROM]]`: checks each kind, or every so many; a line of JSON each. */
import { KINDS } from './leaves-nothing-kinds.ts';

const [every = 1, from = 0] = process.argv.slice(2).map(Number);
for (const [name, check] of KINDS.filter((_, index) => index % every === from)) {
  const began = performance.now();
  // oxlint-disable-next-line no-await-in-loop -- one after the other
  const failure = await check().then(
    () => '',
    (error: unknown) => String(error),
  );
  const ms = Math.round(performance.now() - began);
  process.stdout.write(`${JSON.stringify({ name, failure, ms })}\n`);
}
// A remaining resource must not keep the process alive.
process.exit();
