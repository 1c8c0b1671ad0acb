import t from "tap";
import { runExecutions } from "./executions.js";

// Alone this file has tap's default of 30 s, which a slow machine needs for Envoy's starts.
t.setTimeout(240_000);

t.test(
	"Envoy natively, ext_authz, ext_proc, the pure function and the judge give the same answer",
	{ timeout: 240_000 },
	async (t) => {
		const { requests, mismatches, seen } = await runExecutions(t, { seed: 4, services: 36, each: 60, edges: 3 });
		t.same(mismatches.slice(0, 10), [], `${mismatches.length} mismatches in ${requests} requests`);
		for (const what of [
			"allowed",
			"open",
			"forbidden",
			"no-policy-allows",
			"arm some",
			"arm none",
			"variant v2",
			"variant v3",
			"cookie",
			"allowed, not eligible",
			"alike arms",
		]) {
			t.ok((seen.get(what) ?? 0) > 15, `${what} occurs: ${seen.get(what)}`);
		}
		t.comment(`${requests} requests`);
		t.ok(requests >= 10_000, "the number in docs/meshes.md");
	},
);
