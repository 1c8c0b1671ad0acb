/** The newest Envoy accepts what the compiler prints; test/long asks the other tested ones. */
import t from "tap";
import { validateBootstrap } from "../envoy/harness.js";
import { bootstraps } from "./bootstraps.js";
import { valuesUnder } from "./virtualHosts.js";

for (const [name, bootstrap] of Object.entries(await bootstraps(t))) {
	t.test(`envoy --mode validate accepts a ${name} bootstrap`, async (t) => {
		t.equal(await validateBootstrap(bootstrap), null);
	});
}

t.test("and refuses one that is damaged", async (t) => {
	const { minimal } = await bootstraps(t);
	t.match(await validateBootstrap({ ...minimal, nonsense: 1 }), /nonsense/);
});

t.test(
	"every gRPC service that a bootstrap names has its cluster: Envoy does not ask that when it validates",
	async (t) => {
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
		t.notOk(named(all["native units"]).includes("weir_sidecar"));
	},
);
