/** The scenarios of the inventory on this dom0's own Xen. */
import { describeScenarios } from '../../inventory/scenarios.ts';
import { cell } from '../dom0.ts';
import { openXenHost } from '../scenario-host.ts';

describeScenarios(`Xen ${cell.release} with ${cell.daemon}`, openXenHost);
