import t from "tap";
import { bootstrapOf, startEnvoy } from "./harness.js";
import { paritySuite } from "./parity.js";
import { checkParity } from "./paritySteps.js";
import { startVariants } from "./variantServer.js";

t.test("the newest Envoy, the table and an independent oracle agree on every unit", async (t) => {
	const variants = await startVariants(t, 5);
	const suite = paritySuite(variants.map(({ port }) => port));
	const envoy = await startEnvoy(t, bootstrapOf(suite.plan));
	await checkParity(t, envoy.port(), suite, variants, { random: 2_000, each: 200 });
});
