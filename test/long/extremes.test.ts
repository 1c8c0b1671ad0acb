/** Every tested Envoy takes whatever `weir validate` takes; test/compile/envoy asks the newest. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { mutualTls } from "../compile/access/mutualTls.js";
import { extremes } from "../compile/envoy/extremes.js";
import { refusedExtremes } from "../compile/envoy/refusedExtremes.js";
import { HELD, heldTenants } from "../compile/envoy/tenantIssuers.js";

const { tested }: { tested: readonly string[] } = JSON.parse(await readFile("envoy/versions.json", "utf8"));
const { from: _, ...files } = (await mutualTls(t)).gateway;
const cases = extremes(files);

for (const version of tested) {
	t.test(`Envoy ${version} takes the extremes of all fields`, { timeout: 600_000 }, async (t) => {
		t.same(await refusedExtremes(cases, version), []);
	});

	t.test(`Envoy ${version} holds a limit of tenants with few and many issuers`, { timeout: 300_000 }, async (t) => {
		t.same(await heldTenants(t, version), HELD);
	});
}
