/** Others that lag keep the built-in probe from nothing that this machine's Envoy has taken: through control's own roles. */
import t from "tap";
import { AdsClient } from "../xds/adsClient.js";
import { alarmsOf, scene } from "./probeScene.js";
import { protectedService } from "./protectedService.js";

t.setTimeout(120_000);

t.test("what is declared and deleted while another Envoy says nothing is probed, or is no more", async (t) => {
	const { at, client, apply, probed, upstream } = await scene(t);
	await apply(protectedService("old", upstream, "anyone"));
	t.equal(await probed(({ answers }) => answers.length > 2), "edge guarded forbidden\nedge old forbidden");
	const silent = new AdsClient(`unix:${at.adsSocket}`);
	t.teardown(() => silent.close());
	silent.ask("clusters", [], undefined, { node: "another" });
	await silent.next();
	const sidecar = new AdsClient(`unix:${at.adsSocket}`);
	t.teardown(() => sidecar.close());
	sidecar.ask("tables", ["plan"], undefined, { node: "another-sidecar" });
	await sidecar.next();

	await apply(protectedService("later", upstream, "anyone"));
	t.equal(
		await probed(({ answers }) => answers.length > 4),
		"edge guarded forbidden\nedge later forbidden\nedge old forbidden",
	);
	const old = [
		{ kind: "AccessPolicy", name: "old" },
		{ kind: "Service", name: "old" },
	] as const;
	await client.deleteAll(old, { dryRun: false });
	t.equal(
		await probed(({ answers, unprobed }) => answers.length < 6 && unprobed.length === 0),
		"edge guarded forbidden\nedge later forbidden",
	);
	t.same(await alarmsOf(client), []);
	const { proxies } = await client.proxies();
	t.equal(proxies.find(({ node }) => node === "another")?.types.clusters?.state, "STALE", "which lags still");
});
