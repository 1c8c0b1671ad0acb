/** The newest Envoy accepts compiled bootstraps; test/long has the other tested versions. */

import t from "tap";
import { CALLOUT_PROCESS_STREAMS_MAX, CALLOUT_WAITING_MAX } from "../../../src/compile/envoy/bootstrap.js";
import { validateBootstrap } from "../../envoy/harness.js";
import { bootstraps } from "./bootstraps.js";
import { valuesUnder } from "./virtualHosts.js";

interface Cluster {
	readonly name: string;
	readonly circuit_breakers?: { readonly thresholds: readonly { readonly max_requests: number }[] };
}

for (const [name, bootstrap] of Object.entries(await bootstraps(t))) {
	t.test(`envoy --mode validate accepts a ${name} bootstrap`, async (t) => {
		t.equal(await validateBootstrap(bootstrap), null);
	});
}

t.test("envoy --mode validate refuses a damaged bootstrap", async (t) => {
	const { minimal } = await bootstraps(t);
	t.match(await validateBootstrap({ ...minimal, nonsense: 1 }), /nonsense/);
});

t.test("each gRPC service in a bootstrap has its cluster, which Envoy's validation does not check", async (t) => {
	const named = (bootstrap: object) => [
		...new Set(valuesUnder(bootstrap, "envoy_grpc").map((grpc) => (grpc as { cluster_name: string }).cluster_name)),
	];
	const all = await bootstraps(t);
	for (const [name, bootstrap] of Object.entries(all)) {
		const [clusters] = valuesUnder(bootstrap, "clusters");
		const known = (clusters as readonly { name: string }[]).map((cluster) => cluster.name);
		t.same(
			named(bootstrap).filter((cluster) => !known.includes(cluster)),
			[],
			name,
		);
	}
	t.ok(named(all.ext_authz).includes("weir_sidecar"));
	t.ok(
		named(all.ext_proc).includes("weir_sidecar_streams"),
		"streams live longer, so they have a breaker of their own",
	);
	for (const bootstrap of [all.ext_proc, all["dynamic with a sidecar"]]) {
		const [clusters] = valuesUnder(bootstrap, "clusters");
		const limits = (clusters as readonly Cluster[])
			.filter(({ name }) => name.startsWith("weir_sidecar"))
			.map(({ name, circuit_breakers }) => [name, circuit_breakers?.thresholds[0]?.max_requests]);
		t.same(limits, [
			["weir_sidecar", CALLOUT_WAITING_MAX],
			["weir_sidecar_streams", CALLOUT_PROCESS_STREAMS_MAX],
		]);
	}
	t.notOk(named(all["native units"]).includes("weir_sidecar"));
});
