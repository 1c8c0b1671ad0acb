/** A condition on the path, in every spelling, by each form on each tested Envoy. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { conditionsHold } from "../attack/conditionPaths.js";

const { tested }: { tested: readonly string[] } = JSON.parse(await readFile("envoy/versions.json", "utf8"));

t.setTimeout(1_200_000);

for (const version of tested) {
	for (const form of ["ext_authz", "ext_proc"] as const) {
		t.test(`Envoy ${version}, ${form}`, { timeout: 240_000 }, (t) => conditionsHold(t, version, form));
	}
}
