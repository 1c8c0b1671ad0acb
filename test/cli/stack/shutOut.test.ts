/**
 * An internal canary on a real stack: everyone may use v1, testers v2 too. The winner waits while callers would lose access, and
 * takes over once policies allow them.
 */
import t from "tap";
import { startScene } from "../../nist/scene.js";
import { until } from "../../trust/identity/mesh.js";
import { askApi, fileOf, weir } from "../command.js";

// This file alone would have tap's default of 30 s.
t.setTimeout(180_000);

const A = "apiVersion: weir.dev/v1alpha1";
const all = (variants: string) =>
	`${A}\nkind: AccessPolicy\nmetadata: {name: all-may-v1}\nspec: {services: [model], principals: ["spiffe://weir.local/*"], variants: ${variants}}\n`;

function declaration(port: number): string {
	const endpoints = `endpoints: [{address: 127.0.0.1, port: ${port}}]`;
	return [
		`${A}
kind: Service
metadata: {name: model}
spec:
  hosts: [model.test]
  defaultVariant: v1
  identities: ["spiffe://weir.local/weir/predictor"]
  callout: {timeout: 10s}
  variants: [{name: v1, ${endpoints}}, {name: v2, ${endpoints}}]
`,
		all("[v1]"),
		`${A}\nkind: AccessPolicy\nmetadata: {name: beta-may-v2}\nspec: {services: [model], principals: ["spiffe://weir.local/unauthorised"], variants: [v2]}\n`,
		`${A}\nkind: Metric\nmetadata: {name: accuracy}\nspec: {type: rate, source: outcome, direction: up, window: 3s}\n`,
		`${A}
kind: Experiment
metadata: {name: canary}
spec:
  service: model
  unit: {header: x-user-id}
  layer: {name: m, slot: [0%, 100%]}
  arms: [{name: old, variant: v1, weight: 1, baseline: true}, {name: new, variant: v2, weight: 1}]
  goal: {metric: accuracy, improveBy: {absolute: 1pp}}
  rollout: {steps: [100%], every: 1s, minUnits: 50, alpha: 0.05, maxDuration: 1d}
`,
	].join("---\n");
}

t.test("a winner that other callers may not use waits until policies allow them", { timeout: 180_000 }, async (t) => {
	const scene = await startScene(t, { gateway: "  exposeArm: true", documents: () => `${all("[v1]")}---` });
	const { api } = scene.up.ready;
	const ask = (as: "app" | "unauthorised", unit: string) => scene.ask({ as, headers: { "x-user-id": unit } });
	const at = ["--api", api];
	const file = await fileOf(scene.directory, "canary.yaml", declaration(scene.modelPort));
	const held = /a promotion of arm new would deny callers .*: AccessPolicy all-may-v1 allows v1 and not v2/;
	t.match(await weir(["validate", "-f", file]), {
		code: 0,
		stderr: /^warning: Experiment canary: a promotion of arm new .*; Weir will not promote it by itself$/m,
	});
	t.equal((await weir(["apply", "-f", file, ...at])).code, 0);

	const units = Array.from({ length: 240 }, (_, index) => `u${index}`);
	const assigned = await weir(["assign", "-f", file, "--experiment", "canary"], `${units.join("\n")}\n`);
	const arms = new Map(
		assigned.stdout
			.toString()
			.trim()
			.split("\n")
			.map((line) => line.split("\t") as [string, string]),
	);
	await until(
		async () => (await ask("unauthorised", "u0")).headers["x-weir-arm"] === `canary/${arms.get("u0")}`,
		"the arm",
	);
	// A few at a time: an outcome counts within its window only.
	for (let from = 0; from < units.length; from += 20) {
		const some = units.slice(from, from + 20);
		for (const unit of some) t.equal((await ask("unauthorised", unit)).status, 200);
		const rows = some.map((unit, index) => ({
			...{ metric: "accuracy", unit },
			value: arms.get(unit) === "new" || index % 3 === 0 ? 1 : 0,
		}));
		const posted = await askApi(api, "/v1/outcomes", {
			headers: { "content-type": "application/json" },
			body: JSON.stringify(rows),
		});
		t.equal(posted.status, 200, posted.text);
	}

	const status = async () => (await weir(["status", ...at])).stdout.toString();
	await until(
		async () => /canary .*hold: new would be ready, but a promotion of arm new would deny/.test(await status()),
		"the hold",
	);
	t.match(await weir(["decisions", "canary", "--recompute", ...at]), { code: 0 });
	t.match(await weir(["promote", "canary", "--reason", "better", ...at]), { code: 1, stderr: held });
	t.equal((await ask("app", "x1")).status, 200);

	const mended = await fileOf(scene.directory, "mended.yaml", all("[v1, v2]"));
	t.equal((await weir(["apply", "-f", mended, ...at])).code, 0);
	// The takeover wants to see the winner's requests succeed.
	const answers: number[] = [];
	await until(async () => {
		answers.push((await ask("app", "x1")).status);
		await Promise.all(units.slice(0, 40).map((unit) => ask("unauthorised", unit)));
		return /canary +Promoted/.test(await status());
	}, "the promotion");
	t.match(await status(), /Service model: default Variant v2 \(promoted; declared is v1\)/);
	await until(async () => {
		const decisions = (await weir(["decisions", "canary", "--json", ...at])).stdout.toString().trim().split("\n");
		return /"action":"complete".*"acknowledgedAtMs":\d/.test(decisions.at(-1) ?? "");
	}, "its acknowledgement");
	answers.push((await ask("app", "x1")).status, (await scene.ask({ as: "app" })).status);
	t.same([...new Set(answers)], [200], "no request was refused meanwhile or after");

	// test/declare checks who loses access to the promoted Variant; this test checks the live one.
	const previous = await fileOf(scene.directory, "previous.yaml", all("[v1]"));
	t.equal((await weir(["apply", "-f", previous, ...at])).code, 0);
	await until(async () => (await ask("app", "x1")).status === 403, "the refusal");
	const got = (await weir(["get", ...at])).stdout.toString();
	const printed = await fileOf(scene.directory, "got.yaml", got);
	const request = `{service: model, method: POST, path: /v2, principal: "spiffe://weir.local/app"}`;
	const cases = await fileOf(
		scene.directory,
		"cases.yaml",
		`tests: [{name: app, request: ${request}, expect: allow}]\n`,
	);
	const judged = (...more: string[]) => weir(["policy", "test", "-f", printed, "-t", cases, ...more]);
	t.match(await judged(), { code: 0 }, "the declared policies allow it");
	t.match(await judged("--live", ...at), { code: 1 }, "the served policies deny it");

	t.match(await weir(["abort", "canary", ...at]), { code: 1, stderr: /with defaultVariant: v2, then with the one/ });
	const [service = ""] = declaration(scene.modelPort).split("---\n");
	for (const variant of ["v2", "v1"]) {
		const text = service.replace("defaultVariant: v1", `defaultVariant: ${variant}`);
		t.equal((await weir(["apply", "-f", await fileOf(scene.directory, "service.yaml", text), ...at])).code, 0);
	}
	await until(async () => (await ask("app", "x1")).status === 200, "the way back");
	t.match(await judged("--live", ...at), { code: 0 });
});
