/** The scenarios on every simulated release, with each daemon, and with each toolstack's order of things. */
import { describeScenarios } from './scenarios.ts';
import { openSimulatedHost } from './simulated-scenario-host.ts';

for (const release of ['4.14', '4.17', '4.20', '4.22'] as const) {
  for (const daemon of ['C', 'oxenstored'] as const) {
    describeScenarios(`a simulated Xen ${release} with ${daemon}`, () =>
      openSimulatedHost({ release, daemon, toolstack: 'libxl' }),
    );
  }
}

for (const [release, daemon] of [
  ['4.17', 'oxenstored'],
  ['4.22', 'C'],
] as const) {
  describeScenarios(`a simulated Xen ${release} with ${daemon}, run by xapi`, () =>
    openSimulatedHost({ release, daemon, toolstack: 'xapi' }),
  );
}

describeScenarios(
  'a simulated Xen 4.17 with domids at random',
  () => openSimulatedHost({ release: '4.17', daemon: 'C', toolstack: 'libxl', domids: 'random' }),
  { sequentialDomids: 'the next domid cannot be guessed' },
);
