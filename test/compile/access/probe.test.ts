/** Probe targets, and the answers that count as a denial. */
import t from "tap";
import { judgeProbes, type ProbeAnswer, probeTargets } from "../../../src/compile/access/bypass/probe.js";
import type { PlanTable } from "../../../src/compile/plan/compiledPlan.js";
import { gateway } from "../../fixtures/resources.js";

t.test("a wildcard is probed at a host that no other Service declares", async (t) => {
	const service = (name: string, hosts: readonly string[]) => ({ name, hosts, access: {}, callout: null });
	const table = {
		services: [
			service("wild", ["*.shop.test"]),
			service("decoy", ["weir-probe.shop.test", "weir-probe-2.shop.test"]),
			service("other", ["*.other.test"]),
		],
	} as unknown as PlanTable;
	const files = { from: "files", certificateFile: "/c", keyFile: "/k", clientCaFile: null } as const;
	const gateways = [
		gateway(),
		gateway({ tls: { from: "identity" } as never }, "mesh"),
		gateway({ tls: files as never }, "web"),
		gateway({ tls: { ...files, clientCaFile: "/ca" } as never }, "partners"),
	];
	const targets = probeTargets("7", table, gateways);
	t.same(
		targets.services.map(({ host }) => host),
		["weir-probe-3.shop.test", "weir-probe.shop.test", "weir-probe.other.test"],
	);
	t.same(
		targets.gateways.map(({ name, tls }) => `${name} ${tls}`),
		["edge none", "mesh mesh", "web files", "partners client-ca"],
	);
});

const GATE: ProbeAnswer = { status: 403, body: "access denied: not-canonical\n" };
const RULES: ProbeAnswer = { status: 403, body: "access denied: forbidden\n" };

t.test("an answer passes the probe only if each guard denies with its own reason", async (t) => {
	for (const [status, body, outcome] of [
		[403, "access denied: not-canonical\n", "denied"],
		[503, "closed: configuration-refused\n", "denied"],
		[403, "access denied: forbidden\n", "bypassed"],
		[401, "access denied: invalid-token\n", "bypassed"],
		[429, "access denied: rate-limited\n", "bypassed"],
		[403, "Forbidden", "bypassed"],
		[403, "access denied: not-canonical\nand more", "bypassed"],
		[200, "access denied: not-canonical\n", "bypassed"],
		[404, "", "bypassed"],
		[503, "unavailable\n", "unanswered"],
		[null, "", "unanswered"],
	] as const)
		t.equal(judgeProbes({ gate: { status, body }, rules: RULES }).outcome, outcome, `gate ${status} ${body}`);
	for (const [status, body, outcome] of [
		[403, "access denied: forbidden\n", "denied"],
		[503, "closed: configuration-refused\n", "denied"],
		[429, "access denied: rate-limited\n", "unanswered"],
		[403, "access denied: no-policy-allows\n", "bypassed"],
		[403, "access denied: not-canonical\n", "bypassed"],
		[200, "ok", "bypassed"],
		[503, "unavailable\n", "unanswered"],
	] as const)
		t.equal(judgeProbes({ gate: GATE, rules: { status, body } }).outcome, outcome, `rules ${status} ${body}`);
});

t.test("the detail contains only Weir's reason, no other part of an answer", async (t) => {
	t.same(judgeProbes({ gate: { status: 200, body: "secret" }, rules: RULES }), {
		outcome: "bypassed",
		detail: "gate: 200, rules: 403 forbidden",
	});
	t.equal(
		judgeProbes({ gate: { status: null, body: "", why: "ECONNREFUSED" }, rules: { status: 200, body: "" } }).outcome,
		"bypassed",
		"the worse one counts",
	);
});
