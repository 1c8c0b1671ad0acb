/** The sidecar reads every table that the compiler writes, from xDS and from a file, and compiles it. */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import type { Mode } from "../../../src/compile/table/execution.js";
import { compileTable } from "../../../src/publish/sidecar/compiledTable.js";
import { readTable } from "../../../src/publish/sidecar/tableReader.js";
import {
	accessPolicy,
	experiment,
	experimentStatus,
	layer,
	resourceSet,
	service,
	variant,
} from "../../fixtures/resources.js";

const VARIANTS = [variant("v1", 1001), variant("v2", 1002), variant("v3", 1003)];
const header = experiment("by-header", "plain", [1, 0, 2], { slotPpm: [0, 400_000] });
const promoted = experiment("promoted", "plain", [1, 1], { slotPpm: [400_000, 1_000_000] });
const cookie = experiment("by-cookie", "guarded", [1, 1], {
	unit: { from: "cookie", cookie: "weir_id", maxAgeMs: 86_400_000 },
	layer: "other",
});
const claim = experiment("by-claim", "spaced", [1, 1], { unit: { from: "claim", claim: "sub" }, namespace: "team" });

const resources = resourceSet({
	services: [
		service("plain", VARIANTS),
		service("guarded", VARIANTS, { access: null }),
		service("spaced", VARIANTS, { namespace: "team", hosts: ["spaced.test", "*.spaced.test"] }),
	],
	layers: [layer("models", "18446744073709551615")],
	experiments: [header, promoted, cookie, claim],
	accessPolicies: [
		accessPolicy("callers", "allow", ["guarded"], { principals: ["spiffe://example.com/web"], variants: ["v1"] }),
		accessPolicy("no-admin", "deny", ["guarded"], { pathPrefixes: ["/admin"] }),
	],
});
const status = {
	services: {},
	experiments: {
		promoted: experimentStatus(promoted, {
			phase: "Promoting",
			promotion: { arm: "arm2", variant: "v2", takeoverPpm: 250_000, stepIndex: 0 },
		}),
	},
};

for (const mode of ["auto", "native", "callout"] as const satisfies readonly Mode[]) {
	t.test(`the sidecar reads the compiled tables in mode ${mode}`, (t) => {
		const plan = compile(resources, status, { collectors: NO_COLLECTORS, mode });
		t.ok(plan.table.services.some(({ experiments }) => experiments.some(({ takeover }) => takeover !== null)));
		const given = readTable(plan.version, JSON.stringify(plan.table));
		t.same(given, { version: plan.version, table: plan.table });
		// As restored from a file.
		const again = JSON.parse(JSON.stringify(given, null, 2));
		t.same(readTable(again.version, JSON.stringify(again.table)), given);
		const compiled = compileTable(given);
		for (const { name } of plan.table.services) t.ok(compiled.service(name), name);
		t.end();
	});
}
