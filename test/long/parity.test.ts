/** The parity suite on every tested Envoy, with more random units than the fast tier. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { checkCalloutParity, PROTOCOLS } from "../envoy/calloutParity.js";
import { bootstrapOf, startEnvoy } from "../envoy/harness.js";
import { paritySuite } from "../envoy/parity.js";
import { checkParity } from "../envoy/paritySteps.js";
import { startVariants } from "../envoy/variantServer.js";

const { tested }: { tested: readonly string[] } = JSON.parse(await readFile("envoy/versions.json", "utf8"));

t.setTimeout(300_000);

for (const version of tested) {
	t.test(
		`Envoy ${version}, the table and an independent oracle agree on every unit`,
		{ timeout: 120_000 },
		async (t) => {
			const variants = await startVariants(t, 5);
			const suite = paritySuite(variants.map(({ port }) => port));
			const envoy = await startEnvoy(t, bootstrapOf(suite.plan), { version });
			t.equal(envoy.version, version);
			await checkParity(t, envoy.port(), suite, variants, { random: 20_000, each: 2_000 });
		},
	);
}

for (const protocol of PROTOCOLS) {
	t.test(`by ${protocol}, every unit goes where the oracle says`, { timeout: 120_000 }, (t) =>
		checkCalloutParity(t, protocol, { random: 3_000, each: 300 }),
	);
}
