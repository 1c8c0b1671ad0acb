/**
 * The parity suite in full callout: the same units, Experiments and oracle as natively, but every arm comes from the
 * sidecar by ext_authz and by ext_proc. Envoy, the sidecar, the table and the oracle must agree. test/long/parity has
 * more units.
 */
import t from "tap";
import { checkCalloutParity, PROTOCOLS } from "./calloutParity.js";

for (const protocol of PROTOCOLS) {
	t.test(`by ${protocol}, every unit gets the oracle's arm`, (t) =>
		checkCalloutParity(t, protocol, { random: 200, each: 150 }),
	);
}
