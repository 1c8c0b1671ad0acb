/**
 * The parity suite in full callout: the same units, Experiments and oracle as natively, but every arm comes from the
 * sidecar, asked by ext_authz and by ext_proc. Envoy, the sidecar, the table and the oracle must agree. More units:
 * test/long/parity.
 */
import t from "tap";
import { checkCalloutParity, PROTOCOLS } from "./calloutParity.js";

for (const protocol of PROTOCOLS) {
	t.test(`by ${protocol}, every unit goes where the oracle says`, (t) =>
		checkCalloutParity(t, protocol, { random: 500, each: 150 }),
	);
}
