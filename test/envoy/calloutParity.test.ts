/**
 * The parity suite in full callout: the same units, Experiments and oracle as natively, but every arm comes from the
 * sidecar, asked by ext_authz and by ext_proc. Envoy, the sidecar, the table and the oracle must agree. More units:
 * test/long/parity.
 */
import t from "tap";
import { startSidecar } from "../sidecar/rig.js";
import { bootstrapOf, startEnvoy } from "./harness.js";
import { paritySuite } from "./parity.js";
import { checkParity } from "./paritySteps.js";
import { startVariants } from "./variantServer.js";

for (const protocol of ["ext_authz", "ext_proc"] as const) {
	t.test(`by ${protocol}, every unit goes where the oracle says`, async (t) => {
		const variants = await startVariants(t, 5);
		const suite = paritySuite(
			variants.map(({ port }) => port),
			{ mode: "callout", protocol },
		);
		const sidecar = await startSidecar(t, suite.plan);
		const envoy = await startEnvoy(t, bootstrapOf(suite.plan, undefined, sidecar.socketPath));
		await checkParity(t, envoy.port(), suite, variants, { random: 500, each: 150 });
	});
}
