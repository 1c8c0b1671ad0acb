/** What an approver is told where a Service is put before the servers of another one. */
import t from "tap";
import type { Service } from "../../src/resources/resource.js";
import { serversShared } from "../../src/state/consequences/serversShared.js";
import { resourceSet, service, variant } from "../fixtures/resources.js";
import { file } from "./employment.js";
import { policyText, RULES_GATEWAY, serviceText } from "./guarded.js";
import { mutualApi } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

const at = (name: string, ...ports: readonly number[]): Service => {
	const one = service(name, [variant("v1", 1)]);
	const endpoints = ports.map((port) => ({ address: "10.0.0.1", port, locality: null }));
	return { ...one, spec: { ...one.spec, variants: [{ ...variant("v1", 1), endpoints }] } };
};
const told = (before: readonly Service[], after: readonly Service[], ...names: readonly string[]) =>
	serversShared(
		resourceSet({ services: before }),
		resourceSet({ services: after }),
		names.map((name) => ({ kind: "Service", name, change: "configured" })),
	).map(({ effect }) => effect);

const words = (own: string, others: string, servers = "a server"): string =>
	`Service ${own} leads to ${servers} that Service${others.includes(" ") ? `s ${others} have` : ` ${others} has`} or had: who calls ${own} is judged by the rules of ${own}`;

t.test("a server that another one has, and this one had not", async (t) => {
	const [records, demo] = [at("records", 1, 2), at("demo", 2, 3)];
	t.same(told([records], [records, demo], "demo"), [words("demo", "records")]);
	t.same(told([records, at("demo", 3)], [records, demo], "demo"), [words("demo", "records")]);
	t.same(told([records, demo], [records, demo], "demo"), [], "it did already");
	t.same(told([records], [records, demo]), [], "what is not changed");
	t.same(told([at("records", 1)], [at("records", 1), at("demo", 3)], "demo"), []);
	t.same(
		told([], [records, demo], "demo", "records"),
		[words("records", "demo"), words("demo", "records")],
		"both are new",
	);
	const theirs = { ...records, metadata: { ...records.metadata, namespace: "other" } };
	t.same(told([theirs], [demo], "demo"), [], "of other namespaces nothing is told");
	t.same(told([theirs], [theirs, demo], "demo"), []);
});

t.test("one that another leaves in the same change, whoever else comes to it", async (t) => {
	const [records, moved] = [at("records", 2), at("records", 9)];
	t.same(told([records], [moved, at("demo", 2)], "demo", "records"), [words("demo", "records")]);
	t.same(told([records], [at("demo", 2)], "demo"), [words("demo", "records")], "or that is deleted");
	t.same(told([records], [moved, at("demo", 2), at("x", 2)], "demo", "x", "records"), [
		words("demo", "records, x"),
		words("x", "records, demo"),
	]);
	const open = at("public", 5);
	t.same(told([records, open], [moved, open, at("demo", 5, 2)], "demo", "records"), [
		words("demo", "public, records", "servers"),
	]);
	const crowd = Array.from({ length: 7 }, (_, n) => at(`a${n}`, 5));
	t.same(
		told([...crowd, records], [...crowd, moved, at("demo", 5, 2)], "demo", "records"),
		[words("demo", "a0, records, a1, a2, a3 and others", "servers")],
		"and none is hidden by a crowd at another one",
	);
});

t.test("of many some are named, and thousands that share hold nobody up", async (t) => {
	const ports = Array.from({ length: 100 }, (_, n) => n + 1);
	const many = (called: string, count: number) =>
		Array.from({ length: count }, (_, n) => at(`${called}${n}`, ...ports));
	const [few, all] = [many("a", 5), many("a", 2_000)];
	t.match(told(few, [...few, at("demo", 1)], "demo"), [/that Services a0, a1, a2, a3, a4 have/]);
	t.match(told(all, [...all, at("demo", 1)], "demo"), [/that Services a0, a1, a2, a3, a4 and others have/]);
	const six = many("a", 6);
	t.match(told([], [at("0", 1), ...six], "0"), [/a4 and others have/], "whoever asks");
	const fresh = many("b", 1_000);
	const names = fresh.map(({ metadata: { name } }) => name);
	const from = process.cpuUsage();
	t.equal(told(all, [...all, ...fresh], ...names).length, 1_000);
	const { user } = process.cpuUsage(from);
	t.ok(user < 3_000_000, `${user} µs`);
});

t.test("it stands in the request", async (t) => {
	const { owner, as } = await mutualApi(t);
	const documents = [
		RULES_GATEWAY,
		serviceText("records"),
		policyText("p", "records"),
		binding("ada", "apply", ["ada"], "[default]"),
		binding("bob", "approve", ["bob"], "[default]"),
		`apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: two}
spec: {verbs: [apply], namespaces: [default]}
`,
	];
	t.match(await owner.apply(file(documents.join("---\n")), { dryRun: false }), { outcome: "applied" });
	const text = serviceText("demo", "default", "  access: open\n").replaceAll(
		"demo.default.internal",
		"records.default.internal",
	);
	const asked = await (await as("ada")).apply(file(text), { dryRun: false });
	if (asked.outcome !== "pending") throw new Error(asked.outcome);
	t.same((await (await as("bob")).request(asked.request.id)).effects, [
		"created Service demo",
		words("demo", "records", "servers"),
	]);
});
