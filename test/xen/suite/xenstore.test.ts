/** The xenstore client against this dom0's own daemon, at its default socket. */
import { describeXenstore } from '../../xenstore/contract.ts';

describeXenstore('the daemon of this dom0', async () => ({}));
