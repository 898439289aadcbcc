/** The scenarios on every simulated release, with each daemon and each toolstack's order of steps. */
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

for (const [release, inabilities] of [
  [
    '4.17',
    { sameDomain: 'up to 4.20 only the order of domids tells a domain from the next at its domid' },
  ],
  ['4.22', {}],
] as const) {
  describeScenarios(
    `a simulated Xen ${release} with domids at random`,
    () => openSimulatedHost({ release, daemon: 'C', toolstack: 'libxl', domids: 'random' }),
    { sequentialDomids: 'no domid can be guessed', ...inabilities },
  );
}
