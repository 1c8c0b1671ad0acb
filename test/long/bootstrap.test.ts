/** Every tested Envoy accepts what the compiler prints. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { bootstraps } from "../compile/envoy/bootstraps.js";
import { validateBootstrap } from "../envoy/harness.js";

const { tested }: { tested: readonly string[] } = JSON.parse(await readFile("envoy/versions.json", "utf8"));
const all = Object.entries(await bootstraps(t));

for (const version of tested) {
	for (const [name, bootstrap] of all) {
		t.test(`Envoy ${version} accepts a ${name} bootstrap`, async (t) => {
			t.equal(await validateBootstrap(bootstrap, version), null);
		});
	}
}
