/** The rule values that one request is compared with are limited per Service, with an error at the declaration. */

import t from "tap";
import { RULE_STEPS_MAX, RULE_VALUES_MAX } from "../../../src/declare/resources/checks/rules.js";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { LISTED_VALUES_MAX } from "../../../src/limits/index.js";
import { file } from "../../operate/employment.js";
import { mutualApi } from "../../operate/mutualApi.js";

t.setTimeout(120_000);

const HEAD = "apiVersion: weir.dev/v1alpha1\nkind:";
const texts = (count: number, of: (at: number) => string): string =>
	`[${Array.from({ length: count }, (_, at) => JSON.stringify(of(at))).join(", ")}]`;
const callers = (count: number): string => `principals: ${texts(count, (at) => `spiffe://weir.test/c${at}`)}`;
const templates = (count: number): string => `pathTemplates: ${texts(count, (at) => `/{a}/p${at}`)}`;
const groups = (count: number): string => `groups: ${texts(count, (at) => `g${at}`)}`;
/** A word counts for five: alone, first, last, in between, or an item of a list. */
const scopes = (count: number): string => `claims: [{claim: scope, values: ${texts(count, (at) => `s${at}`)}}]`;

const gateway = (issuers = 0): string => {
	const tokens = Array.from(
		{ length: issuers },
		(_, at) => `{issuer: "https://i${at}.test", audiences: [a], jwksFile: /k.json}`,
	);
	return `${HEAD} Gateway\nmetadata: {name: edge}\nspec: {port: 0, tls: {identity: mesh}${issuers === 0 ? "" : `, tokens: [${tokens.join(", ")}]`}}\n`;
};
const service = (spec = ""): string =>
	`${HEAD} Service\nmetadata: {name: s}\nspec: {hosts: [s.test], defaultVariant: v1${spec}, variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: 9}]}]}\n`;
const policy = (name: string, spec: string): string =>
	`${HEAD} AccessPolicy\nmetadata: {name: ${name}}\nspec:\n  services: [s]\n  ${spec}\n`;

const BY_SIDECAR = ", callout: {access: sidecar}";

const problemsOf = (...documents: readonly string[]): readonly string[] =>
	loadResources([{ name: "w.yaml", text: documents.join("---\n") }]).problems.map(
		({ message, hint, position }) => `${position?.line}: ${message}; ${hint}`,
	);

t.test("values that Envoy compares for each request are bounded", async (t) => {
	t.same(problemsOf(gateway(), service(), policy("p", callers(RULE_VALUES_MAX))), []);
	t.same(problemsOf(gateway(), service(), policy("a", callers(RULE_VALUES_MAX)), policy("b", callers(1))), [
		`22: with it Envoy tries up to ${RULE_VALUES_MAX + 1} values of rules (a path counts 10), more than ${RULE_VALUES_MAX}, for each request to Service s; name groups or claims instead of many callers and paths, or declare callout: {access: sidecar} in the Service`,
	]);
	const issuers = RULE_VALUES_MAX / (5 * LISTED_VALUES_MAX);
	const many = policy("p", scopes(LISTED_VALUES_MAX));
	t.same(problemsOf(gateway(issuers), service(), many), []);
	t.match(
		problemsOf(gateway(issuers + 1), service(), many),
		[/^\d+: with it Envoy tries up to 21000 values/],
		"each's",
	);
	t.match(
		problemsOf(gateway(issuers), service(), many, policy("q", "mode: shadow\n  principals: [anyone]")),
		[/^\d+: with it Envoy tries up to 40001 values/],
		"shadows are tried on the way",
	);
	t.same(
		problemsOf(
			gateway(1),
			service(),
			policy("q", `mode: shadow\n  ${groups(RULE_VALUES_MAX + 1)}`),
			policy("p", callers(1)),
		),
		[],
		"but those that Envoy is not given",
	);
	const v1 = policy("q", `mode: shadow\n  variants: [v1]\n  ${callers(RULE_VALUES_MAX)}`);
	const experiment = `${HEAD} Experiment
metadata: {name: e}
spec:
  service: s
  unit: {cookie: {name: weir_id}}
  layer: {name: l, slot: [0%, 100%]}
  arms: [{name: a, variant: v1, weight: 1, baseline: true}, {name: b, variant: v2, weight: 1}]
  guardrails: [{metric: error-rate, margin: {absolute: 1pp}}]
  rollout: {steps: [50%, 100%], every: 10m, minUnits: 500, alpha: 0.05, maxDuration: 14d, onInconclusive: keep-default}
---
${HEAD} Metric
metadata: {name: error-rate}
spec: {type: rate, source: errors, direction: down, window: 10m}
`;
	const two = service().replace("variants: [", "variants: [{name: v2, endpoints: [{address: 127.0.0.1, port: 9}]}, ");
	t.same(problemsOf(gateway(), two, experiment, policy("p", callers(1))), []);
	t.match(
		problemsOf(gateway(), two, experiment, v1, policy("p", callers(1))),
		[/Envoy tries up to 20002 values/],
		"one that waits for the end of an Experiment will be",
	);
});

t.test("values that Envoy compares after an Experiment's end count before it", async (t) => {
	const experiment = (unit: string): string => `${HEAD} Experiment
metadata: {name: e}
spec:
  service: s
  unit: {${unit}}
  layer: {name: l}
  arms: [{name: a, variant: v1, weight: 1, baseline: true}, {name: b, variant: v2, weight: 1}]
  rollout: {steps: [10%, 50%], every: 10m, minUnits: 100}
`;
	const two = (spec = "") =>
		service(spec).replace("variants: [", "variants: [{name: v2, endpoints: [{address: 127.0.0.1, port: 9}]}, ");
	const apart = policy("v", `action: deny\n  variants: [v2]\n  ${callers(1)}`);
	const alike = policy("v", `action: deny\n  variants: [v1, v2]\n  ${callers(1)}`);
	const many = policy("p", callers(RULE_VALUES_MAX + 1));
	const LATER = new RegExp(
		`with it Envoy tries up to ${RULE_VALUES_MAX + 2} values .* for each request to Service s once none of its Experiments has the sidecar decide access any more; .* or declare callout: {access: sidecar} in the Service$`,
	);
	const header = experiment("header: x-user-id");
	const cookie = experiment("cookie: {name: weir_id}");
	t.match(problemsOf(gateway(), two(), header, apart, many), [LATER], "eligibility");
	t.match(problemsOf(gateway(), two(), cookie, alike, many), [LATER], "a cookie");
	t.same(problemsOf(gateway(), two(BY_SIDECAR), cookie, apart, many), [], "the declaration has the sidecar decide");
	t.match(
		problemsOf(
			gateway(),
			two(),
			header,
			apart,
			policy("p", `principals: [anyone]\n  ${templates(RULE_STEPS_MAX / 2)}`),
		),
		[/with it the sidecar can try/],
		"and what the sidecar walks until then",
	);
});

t.test("values that the sidecar cannot index by caller are bounded", async (t) => {
	t.same(problemsOf(gateway(), service(BY_SIDECAR), policy("p", callers(RULE_STEPS_MAX + 1))), []);
	const [own, one] = [`${callers(1)}\n  `, "principals: [anyone]\n  "];
	t.same(problemsOf(gateway(), service(BY_SIDECAR), policy("p", `${one}${templates(RULE_STEPS_MAX / 2 - 1)}`)), []);
	t.same(problemsOf(gateway(), service(BY_SIDECAR), policy("p", `${one}${templates(RULE_STEPS_MAX / 2)}`)), [
		`15: with it the sidecar can try ${RULE_STEPS_MAX + 1} rules, values and segments of paths, more than ${RULE_STEPS_MAX}, for one request to Service s; name exact principals, groups or claims instead of many users and paths, or divide the Service`,
	]);
	const half = policy("a", `principals: ["spiffe://weir.test/other"]\n  ${templates(RULE_STEPS_MAX / 2 - 1)}`);
	t.same(
		problemsOf(gateway(), service(BY_SIDECAR), half, policy("b", `${own}${templates(RULE_STEPS_MAX / 2 - 1)}`)),
		[],
	);
	t.match(
		problemsOf(gateway(), service(BY_SIDECAR), half, policy("b", `${one}${templates(RULE_STEPS_MAX / 4)}`)),
		[/the sidecar can try 30000 rules/],
		"a named caller may also be anyone",
	);
});

t.test("conditions that the sidecar tries twice count twice, indexed ones do not", async (t) => {
	const [any, by] = ["principals: [anyone]\n  ", service(BY_SIDECAR)];
	const half = policy("p", `${any}${templates(RULE_STEPS_MAX / 4)}`);
	const shadow = (name: string) => policy(name, "mode: shadow\n  principals: [anyone]");
	t.same(problemsOf(gateway(), by, half), []);
	t.match(
		problemsOf(gateway(), by, half, shadow("q")),
		[/the sidecar can try 20004 rules, values and segments/],
		"with a shadow policy all are asked once more",
	);
	const prefixes = (count: number, chars: number) =>
		`pathPrefixes: ${texts(count, (at) => `/${"v".repeat(chars - 6)}${10_000 + at}`)}`;
	t.same(problemsOf(gateway(), by, policy("p", `${any}${prefixes(2 * RULE_STEPS_MAX, 8)}`)), []);
	const full = (steps: number) => policy("f", `${any}${templates((RULE_STEPS_MAX - steps) / 2)}`);
	t.same(problemsOf(gateway(), by, full(20), policy("p", `${any}${prefixes(100, 100)}`)), []);
	t.match(
		problemsOf(gateway(), by, full(20), policy("p", `${any}${prefixes(100, 1_024)}`)),
		[/the sidecar can try 20072 rules/],
		"by their length",
	);
	const many = (count: number) => policy("g", `${any}${groups(count)}\n  tenants: [t]`);
	t.same(problemsOf(gateway(1), by, full(12), many(20)), []);
	t.match(problemsOf(gateway(1), by, full(12), many(22)), [/the sidecar can try 20001 rules/], "two texts are one");
	t.match(
		problemsOf(gateway(1), by, full(12), many(30_000)),
		[/the sidecar can try 21014 rules/],
		"so far as a token has room for texts",
	);
});

t.test("long lists count more, others do not", async (t) => {
	t.match(problemsOf(gateway(), service(), policy("p", `principals: [anyone]\n  ${templates(RULE_VALUES_MAX / 10)}`)), [
		/Envoy tries up to 20001 values/,
	]);
	const users = `users: ${texts(RULE_VALUES_MAX / 2, (at) => `https://i0.test#u${at}`)}`;
	t.same(problemsOf(gateway(3), service(), policy("p", users)), [], "a user is one issuer's");
	const perVariant = ["v1", "v2"].map((one) => policy(one, `variants: [${one}]\n  ${callers(RULE_VALUES_MAX)}`));
	const two = service().replace("variants: [", "variants: [{name: v2, endpoints: [{address: 127.0.0.1, port: 9}]}, ");
	t.same(problemsOf(gateway(), two, ...perVariant), [], "each Variant has its own");
	const signed = service(", callout: {sign: true}");
	t.same(problemsOf(gateway(), signed, policy("p", callers(RULE_STEPS_MAX + 1))), [], "the sidecar decides, whyever");
	const denied = policy("d", `action: deny\n  ${callers(RULE_VALUES_MAX)}`);
	t.same(problemsOf(gateway(), service(), denied), []);
});

t.test(
	"with more values than Envoy compares with a token's list the Service may want nothing that the sidecar cannot do",
	async (t) => {
		const wants = [", callout: {onFailure: default-variant}", ", rateLimits: {tenant: {requests: 1, per: 1s}}"];
		for (const more of wants) {
			t.same(problemsOf(gateway(1), service(more), policy("p", groups(LISTED_VALUES_MAX))), [], more);
			t.match(problemsOf(gateway(1), service(more), policy("p", groups(LISTED_VALUES_MAX + 1))), [
				/the sidecar decides access: the Service's policies name 201 groups.*; (write onFailure: deny|.* or limit principals), or name fewer groups, tenants, purposes and values of claims in its policies$/,
			]);
			const denied = (count: number) => policy("d", `action: deny\n  ${groups(count)}`);
			const allowed = policy("p", groups(LISTED_VALUES_MAX));
			t.same(problemsOf(gateway(1), service(more), allowed, denied(LISTED_VALUES_MAX)), [], "denials are urgent");
			t.match(problemsOf(gateway(1), service(more), allowed, denied(LISTED_VALUES_MAX + 1)), [
				/the Service's policies name 401 groups.* is given 400 at most/,
			]);
		}
	},
);

t.test("the hint to name fewer values is left out if the sidecar decides anyway", async (t) => {
	const many = policy("p", groups(LISTED_VALUES_MAX + 1));
	const signed = service(", callout: {sign: true, onFailure: default-variant}");
	t.match(problemsOf(gateway(1), signed, many), [/callout\.sign.*; write onFailure: deny$/]);
});

t.test("a denial may exceed the limit, as it is urgent", async (t) => {
	const { owner } = await mutualApi(t);
	const apply = (...documents: readonly string[]) => owner.apply(file(documents.join("---\n")), { dryRun: false });
	t.match(await apply(gateway(), service(), policy("p", callers(RULE_VALUES_MAX))), { outcome: "applied" });
	t.match(await apply(policy("more", callers(1))), { outcome: "refused" });
	t.match(await apply(policy("deny", `action: deny\n  ${callers(1)}`)), { outcome: "applied" });
	t.match(await apply(policy("deny", `action: deny\n  ${callers(RULE_VALUES_MAX + 1)}`)), { outcome: "refused" });
});
