import { SimulatedHost, SimulatedXenstored } from '../../src/simulator/index.ts';
import { describeXenstore } from '../xenstore/contract.ts';

for (const release of ['4.17', '4.22'] as const) {
  for (const flavour of ['C', 'oxenstored'] as const) {
    describeXenstore(`simulated ${flavour} of ${release}`, async () => {
      const xenstored = await SimulatedXenstored.start(new SimulatedHost({ release }), { flavour });
      return { socketPath: xenstored.socketPath, close: () => xenstored.close() };
    });
  }
}
