/** The cost of a Service's access rules in `weir explain`. */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { costText } from "../../../src/compile/table/cost.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { AccessPolicy, TokenIssuer } from "../../../src/declare/resources/resource.js";
import {
	accessPolicy,
	CALLOUT,
	gateway,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../../fixtures/resources.js";

const ISSUER = "https://id.test";

const issuers = (count: number): readonly TokenIssuer[] =>
	Array.from({ length: count }, (_, index) => tokenIssuer(index === 0 ? ISSUER : `${ISSUER}/${index}`, ["weir"], "/k"));

/** @param counts of issuers, one for each Gateway */
function costOf(
	accessPolicies: readonly AccessPolicy[],
	access: "native" | "sidecar" = "native",
	counts: readonly number[] = [1],
	open = false,
): string {
	const resources = resourceSet({
		gateways: counts.map((count, index) =>
			gateway({ tls: { from: "identity" }, tokens: issuers(count) }, `edge-${index}`),
		),
		services: [
			service("s", [variant("v1", 1), variant("v2", 2)], {
				access: open ? "open" : null,
				callout: { ...CALLOUT, access },
			}),
		],
		accessPolicies,
	});
	const { rules } = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS });
	const rule = rules.find((one) => one.rule === "Service s: access");
	return rule?.cost == null ? "" : costText(rule.cost, rule.execution);
}

const callers = (count: number): readonly string[] =>
	Array.from({ length: count }, (_, index) => `spiffe://a/${index}`);
const allow = (spec: Partial<AccessPolicy["spec"]>, name = "p") => accessPolicy(name, "allow", ["s"], spec);
const tried = (policies: readonly AccessPolicy[], counts?: readonly number[]): number =>
	Number(/tries (?:up to )?(\d+) values?/.exec(costOf(policies, "native", counts))?.[1]);

t.test("values that Envoy tries one by one have a cost, in one rule or in many", async (t) => {
	t.equal(
		costOf([allow({ principals: callers(2), methods: ["GET", "POST"], pathPrefixes: ["/v2"] })]),
		"about 6 µs of CPU a request (Envoy tries up to 5 values of its rules); by the sidecar 79 µs",
	);
	t.match(costOf([allow({ principals: callers(500) })]), /^about 56 µs/);
	const rules = callers(500).map((caller, index) => allow({ principals: [caller] }, `p${index}`));
	t.match(costOf(rules), /^about 56 µs.* up to 500 values/);
	t.equal(
		costOf(rules, "sidecar"),
		"about 79 µs of CPU a request, shared by the Service's rules; natively 56 µs (Envoy tries up to 500 values of its rules)",
	);
});

t.test("a cheaper sidecar is suggested with its effects, and the Service keeps its execution", async (t) => {
	t.notMatch(costOf([allow({ principals: callers(730) })]), /callout/);
	t.match(
		costOf([allow({ principals: callers(740) })]),
		/^about 80 µs .*; by the sidecar 79 µs, however many: declare callout: \{access: sidecar\} \(503 where it does not answer\)$/,
	);
	t.notMatch(costOf([allow({ principals: callers(740) })], "sidecar"), /declare/);
});

t.test("an open Service has the cost of its dry run, and no verdict of the sidecar", async (t) => {
	const shadow = allow({ principals: callers(500), mode: "shadow" });
	t.equal(
		costOf([shadow], "native", [1], true),
		"about 56 µs of CPU a request (Envoy tries up to 500 values of its rules)",
	);
	t.equal(costOf([], "native", [1], true), "");
	t.equal(costOf([allow({ condition: "true", mode: "shadow" })], "native", [1], true), "", "nothing of it is tried");
});

t.test("every list counts, and a rule without names counts as one", async (t) => {
	const two = { principals: ["anyone"] };
	for (const spec of [
		{ methods: ["GET"] },
		{ pathPrefixes: ["/a"] },
		{ pathTemplates: ["/a/{x}"] },
		{ users: ["*"] },
		{ groups: ["g"] },
		{ tenants: ["t"] },
		{ purposes: ["p"] },
		{ claims: [{ claim: "c", values: ["x"] }] },
	])
		t.equal(tried([allow({ ...two, ...spec })]), 2, JSON.stringify(spec));
	t.equal(tried([allow({ ...two, claims: [{ claim: "c", values: ["x", "y"] }] })]), 3);
	t.equal(tried([allow(two), accessPolicy("d", "deny", ["s"], {})]), 2);
});

t.test("claims of any issuer count for each issuer, at the Gateway with the most", async (t) => {
	const counts = [2, 7, 0];
	for (const spec of [
		{ users: ["*"] },
		{ groups: ["g"] },
		{ tenants: ["t"] },
		{ purposes: ["p"] },
		{ claims: [{ claim: "c", values: ["x"] }] },
	])
		t.equal(tried([allow(spec)], counts), 7, JSON.stringify(spec));
	t.equal(tried([allow({ users: [`${ISSUER}#ann`, `${ISSUER}#*`] })], counts), 2, "a user is one issuer's");
	t.equal(tried([allow({ principals: callers(3), methods: ["GET"], pathPrefixes: ["/a"] })], counts), 5);
	const groups = Array.from({ length: 100 }, (_, index) => `g${index}`);
	t.match(
		costOf([allow({ groups })], "native", [50]),
		/^about 506 µs .*up to 5000 values.*declare callout: \{access: sidecar\}/,
	);
	t.equal(tried([allow({ principals: ["anyone"] })], [0]), 1);
});

t.test("comparisons with a token's list cost more for a long list", async (t) => {
	const groups = ["a", "b"];
	const lists = { groups, tenants: ["t"], claims: [{ claim: "c", values: ["x"] }] };
	t.match(
		costOf([allow({ principals: callers(3), ...lists })], "native", [1]),
		/up to 7 values of its rules, 4 of them with each item of a token's list: up to 80 µs more for the longest\)/,
	);
	const shadow = allow({ mode: "shadow", groups: ["c"] }, "later");
	t.match(
		costOf([allow({ groups }), shadow], "native", [1]),
		/up to 5 values of its rules, 5 of them /,
		"all once more",
	);
	t.notMatch(costOf([allow({ principals: callers(3) })], "native", [1]), /list/);
});

t.test("shadow policies that Envoy does not try cost nothing", async (t) => {
	const enforced = allow({ principals: callers(4) });
	const groups = Array.from({ length: 9_000 }, (_, index) => `g${index}`);
	const alone = "about 6 µs of CPU a request (Envoy tries up to 4 values of its rules); by the sidecar 79 µs";
	for (const spec of [{ groups }, { principals: callers(800), condition: "request.method == 'GET'" }]) {
		const shadow = allow({ ...spec, mode: "shadow" }, "later");
		t.equal(costOf([enforced, shadow]), alone);
		t.match(costOf([enforced, shadow], "sidecar"), /; natively 6 µs \(Envoy tries up to 4 values of its rules\)$/);
	}
	const tried = allow({ mode: "shadow", principals: callers(2) }, "tried");
	t.match(
		costOf([enforced, tried, allow({ mode: "shadow", groups }, "later")]),
		/tries up to 10 values of its rules\)/,
	);
});

t.test("the most expensive Variant counts, and with shadow policies all rules count twice", async (t) => {
	const ofVariant = (name: string, count: number) => allow({ principals: callers(count), variants: [name] }, name);
	t.equal(tried([allow({ principals: callers(1) }), ofVariant("v1", 3), ofVariant("v2", 5)]), 6);
	const shadow = allow({ mode: "shadow", principals: callers(10) }, "later");
	t.equal(tried([allow({ principals: callers(3) }), shadow]), 16);
});

t.test("a policy that Envoy cannot judge has no native cost", async (t) => {
	const text = costOf([allow({ principals: callers(740), condition: "request.method == 'GET'" })]);
	t.equal(text, "about 79 µs of CPU a request, shared by the Service's rules");
});
