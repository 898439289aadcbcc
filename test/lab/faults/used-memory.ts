/**
 * Loaded into the daemon by `node --expose-gc --import`: on SIGUSR2 it prints the memory in use after a
 * collection. Resident memory says little about growth: garbage stays as long as there is room.
 */
import { vitalsAt } from '../../soak/vitals.ts';

process.on('SIGUSR2', () => {
  void vitalsAt(0).then(({ usedBytes }) => process.stderr.write(`used ${usedBytes} bytes\n`));
});
