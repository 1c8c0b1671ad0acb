/** The parity suite in full callout, for the fast and for the long tier. */
import type { Test } from "tap";
import { startSidecar } from "../publish/sidecar/rig.js";
import { bootstrapOf, startEnvoy } from "./harness.js";
import { paritySuite } from "./parity.js";
import { checkParity, type ParityExtent } from "./paritySteps.js";
import { startVariants } from "./variantServer.js";

export const PROTOCOLS = ["ext_authz", "ext_proc"] as const;

/** Asks a real Envoy, whose every arm comes from the sidecar. */
export async function checkCalloutParity(
	t: Test,
	protocol: (typeof PROTOCOLS)[number],
	extent: ParityExtent,
): Promise<void> {
	const variants = await startVariants(t, 5);
	const suite = paritySuite(
		variants.map(({ port }) => port),
		{ mode: "callout", protocol },
	);
	const sidecar = await startSidecar(t, suite.plan);
	const envoy = await startEnvoy(t, bootstrapOf(suite.plan, undefined, sidecar.socketPath));
	await checkParity(t, envoy.port(), suite, variants, extent);
}
