/**
 * Access rules in every execution: generated requests through a real Envoy, the pure rules and an independent judge agree, and
 * damaged plans are noticed.
 */
import t from "tap";
import type { CompiledPlan } from "../../src/compile/plan/compiledPlan.js";
import { rawGet } from "../envoy/pipeline.js";
import { startVariantServer } from "../envoy/variantServer.js";
import { ASKED_AGAIN_MAX, askAgain, runSecure } from "./secure/run.js";

// Alone this file has the runner's default of 30 s, which a slow machine needs for Envoy's start.
t.setTimeout(600_000);

t.test("every execution gives the same verdict and reason", { timeout: 240_000 }, async (t) => {
	const { requests, mismatches, seen } = await runSecure(t, { seed: 5, services: 40, requests: 3_400 });
	t.same(mismatches.slice(0, 10), [], `${mismatches.length} mismatches in ${requests} requests`);
	t.ok(requests >= 10_000, "the number in docs/meshes.md");
	for (const what of ["allowed", "open", "forbidden", "no-policy-allows", "invalid-token", "not-canonical"]) {
		const count = [...seen].filter(([key]) => key.startsWith(what)).reduce((sum, [, times]) => sum + times, 0);
		t.ok(count > 60, `${what} occurs: ${count}`);
	}
	for (const what of ["allowed shadow false", "no-policy-allows shadow true", "open shadow false"]) {
		t.ok((seen.get(what) ?? 0) > 5, `${what} occurs: ${seen.get(what)}`);
	}
});

t.test("the suite notices rules that are missing or too wide", { timeout: 240_000 }, async (t) => {
	/** Changes every object under a key of that name. */
	const changed =
		(names: RegExp, change: (value: object) => object | undefined) =>
		(plan: CompiledPlan): CompiledPlan =>
			JSON.parse(JSON.stringify(plan), (key, value) =>
				names.test(key) && typeof value === "object" && value !== null ? change(value) : value,
			);
	const damages = {
		"no rules on tokens": changed(/^\(invalid token/, () => undefined),
		"no deny": changed(/^weir\.deny$/, () => undefined),
		"any principal": changed(/^principals$/, () => [{ any: true }]),
		"any path": changed(/^url_path$/, () => ({ path: { prefix: "/" } })),
		"no canonical form": changed(/^\(not canonical/, () => undefined),
	};
	for (const [what, damage] of Object.entries(damages)) {
		const order = { seed: 9, services: 12, requests: 300, forms: ["native"], damage };
		const { mismatches } = await runSecure(t, order);
		t.ok(mismatches.length > 0, `${what}: ${mismatches.length} mismatches`);
	}
});

t.test("a few requests without a verdict are repeated, many are not", async (t) => {
	const upstream = await startVariantServer("v", (socket) =>
		socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
	);
	t.teardown(() => upstream.close());
	const again = async (...statuses: readonly number[]) => {
		const sent = statuses.map(() => ({ who: "", bytes: rawGet("a.test", []) }));
		const answers = statuses.map((status) => ({ status, headers: [], body: "" }));
		const asked = await askAgain(sent, answers, () => upstream.port);
		return [asked, ...answers.map(({ status }) => status)];
	};
	t.same(await again(503, 403, 200), [1, 200, 403, 200]);
	const many = Array<number>(ASKED_AGAIN_MAX + 1).fill(503);
	t.same(await again(...many), [0, ...many], "they stay mismatches");
});
