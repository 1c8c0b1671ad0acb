/** A Service's execution for all modes, unit sources, kinds of access and failure settings. */
import t from "tap";
import { accessTable } from "../../../src/compile/access/rules/policy.js";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { accessPerRoute } from "../../../src/compile/envoy/accessControl.js";
import type { AccessTable, MoreConditions } from "../../../src/compile/plan/compiledPlan.js";
import { type ExecutionInput, executionOf, type Mode } from "../../../src/compile/table/execution.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { AccessPolicy, Callout, UnitSource } from "../../../src/declare/resources/resource.js";
import { LISTED_VALUES_MAX } from "../../../src/limits/index.js";
import {
	accessPolicy,
	CALLOUT,
	experiment,
	experimentStatus,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../../fixtures/resources.js";
import { wordsOf } from "./explained.js";

const variants = [variant("v1", 9001), variant("v2", 9002)];
const principals = ["spiffe://x/y"];
const access = {
	open: accessTable(service("s", variants), []),
	policies: accessTable(service("s", variants, { access: null }), [accessPolicy("p", "allow", ["s"], { principals })]),
	"policies on Variants": accessTable(service("s", variants, { access: null }), [
		accessPolicy("p", "allow", ["s"], { principals }),
		accessPolicy("q", "deny", ["s"], { variants: ["v2"] }),
	]),
} satisfies Record<string, AccessTable>;

const units: Readonly<Record<string, UnitSource | null>> = {
	none: null,
	header: { from: "header", header: "x-user-id" },
	claim: { from: "claim", claim: "sub" },
	cookie: { from: "cookie", cookie: "weir_id", maxAgeMs: 86_400_000 },
};

/** The content of a callout: nothing, the verdict, only the arm, or both. */
type Carried = "nothing" | "verdict" | "arm" | "both";

/** By unit: the callout of an open Service, one with policies, and one with policies on Variants. */
type Rows = Readonly<Record<"none" | "header" | "claim" | "cookie", readonly [Carried, Carried, Carried]>>;

const NOTHING = ["nothing", "nothing", "nothing"] as const;
const VERDICT = ["nothing", "verdict", "verdict"] as const;
const ARM = ["arm", "arm", "both"] as const;
const BOTH = ["arm", "both", "both"] as const;
const BY_ENVOY: Rows = { none: NOTHING, header: NOTHING, claim: NOTHING, cookie: ARM };
const BY_SIDECAR: Rows = { none: VERDICT, header: BOTH, claim: BOTH, cookie: BOTH };

const tables: readonly (readonly [mode: readonly Mode[], callout: Partial<Callout>, rows: Rows])[] = [
	// Mode native reports unsupported features as problems of the Plan and does not change the execution.
	[["auto", "native"], { onFailure: "deny" }, BY_ENVOY],
	[["auto", "native"], { onFailure: "default-variant", onStale: "assign" }, BY_ENVOY],
	[["auto", "native"], { access: "sidecar" }, { none: VERDICT, header: VERDICT, claim: VERDICT, cookie: BOTH }],
	[["callout"], { onFailure: "deny", onStale: "assign" }, BY_SIDECAR],
	// Requests may pass unanswered, so Envoy keeps the verdict if it can.
	[["callout"], { onFailure: "default-variant" }, { none: NOTHING, header: ARM, claim: ARM, cookie: ARM }],
	[["callout"], { access: "sidecar", onFailure: "default-variant", onStale: "assign" }, BY_SIDECAR],
];

for (const [mode, callout, rows] of tables) {
	for (const one of mode) {
		t.test(`executions in mode ${one} with callout ${JSON.stringify(callout)}`, async (t) => {
			for (const [unit, carried] of Object.entries(rows)) {
				const source = units[unit] ?? null;
				const experiments = source === null ? [] : [experiment("e", "s", [1, 1], { unit: source })];
				for (const [at, name] of (["open", "policies", "policies on Variants"] as const).entries()) {
					const want = carried[at];
					const full = { ...CALLOUT, maxStalenessMs: 77_000, ...callout };
					const execution = executionOf({ access: access[name], callout: full, experiments, mode: one, issuers: [] });
					const verdict = want === "verdict" || want === "both";
					const expected = {
						verdict,
						assignment: want === "arm" || want === "both",
						// A callout with a verdict fails closed, whatever the declaration.
						onFailure: verdict ? "deny" : full.onFailure,
						maxStalenessMs: 77_000,
						onStale: verdict ? "deny" : full.onStale,
						sign: false,
					};
					t.same(execution.callout, want === "nothing" ? null : expected, `unit ${unit}, ${name}: ${want}`);
					t.equal(execution.whyVerdict !== null, verdict, "a verdict of the sidecar has its reason");
					t.equal(execution.whyAssignment !== null, want === "arm" || want === "both", "assignment");
				}
			}
		});
	}
}

t.test("the Plan names the reason of each execution", async (t) => {
	const cookie = experiment("c", "s", [1, 1], { unit: units.cookie ?? "" });
	const header = experiment("h", "s", [1, 1]);
	const why = (fields: Partial<Parameters<typeof executionOf>[0]>) => {
		const { whyAssignment, whyVerdict } = executionOf({
			access: access.open,
			callout: CALLOUT,
			experiments: [],
			mode: "auto",
			issuers: [],
			...fields,
		});
		return [whyAssignment, whyVerdict];
	};
	const mints = "Envoy cannot mint a cookie and assign by it in one step";
	const judges = "AccessPolicy q judges Variants, and the sidecar chooses them";
	const asked = "the Service asks for it (callout.access: sidecar)";
	const judging = access["policies on Variants"];
	t.same(why({}), [null, null]);
	t.same(why({ experiments: [cookie] }), [mints, null]);
	t.same(why({ experiments: [header, cookie] }), [mints, null], "one cookie is enough");
	t.same(why({ experiments: [cookie], mode: "callout" }), [mints, null], "the stronger reason is reported");
	t.same(why({ experiments: [header], mode: "callout" }), ["the mode is callout", null]);
	t.same(why({ access: access.policies, mode: "callout" }), [null, "the mode is callout"]);
	t.same(why({ access: judging, experiments: [cookie] }), [mints, judges]);
	t.same(why({ access: judging, experiments: [header], callout: { ...CALLOUT, access: "sidecar" } }), [null, asked]);
});

const none = { principals: ["spiffe://x.test/a"], methods: [], pathPrefixes: [], variants: [], shadow: false };
const more: MoreConditions = {
	...{ users: [], groups: [], tenants: [], purposes: [], claims: [], pathTemplates: [], regions: [] },
	...{ schedule: null, validFromMs: null, validUntilMs: null, condition: null },
};
const policy = (fields: Partial<MoreConditions>, shadow = false): AccessTable => ({
	open: shadow,
	policies: [{ ...none, name: "p", action: "allow", shadow, more: { ...more, ...fields } }],
});

t.test("the sidecar judges fields that Envoy cannot express, in every mode", async (t) => {
	const users = policy({ users: ["https://id.test#a"] });
	const bound = { ...tokenIssuer("https://id.test", [], "k.json"), binding: "dpop" as const };
	const why = (input: Partial<ExecutionInput>) =>
		executionOf({ access: access.open, callout: CALLOUT, experiments: [], mode: "auto", issuers: [], ...input });
	for (const mode of ["auto", "native", "callout"] as const) {
		for (const fields of [
			{ condition: "true" },
			{ validFromMs: 1 },
			{ validUntilMs: 1 },
			{ schedule: { timezone: "UTC", days: [1], fromMinute: 0, untilMinute: 60 } },
		]) {
			t.match(why({ mode, access: policy(fields) }), {
				callout: { verdict: true },
				whyVerdict: /AccessPolicy p has a /,
			});
			t.equal(why({ mode, access: policy(fields, true) }).callout, null, "a shadow policy brings no callout");
			t.match(
				why({ mode, access: policy(fields, true) }).dryRun.untried,
				[{ name: "p", why: /^it has a / }],
				"and is reported as not tried",
			);
		}
		const dreamed = policy({ groups: ["a"] }, true);
		t.match(why({ mode, access: dreamed, issuers: [bound] }), {
			callout: null,
			dryRun: { untried: [{ name: "p", why: /proof of possession/ }] },
		});
		t.same(why({ mode, access: dreamed, issuers: [tokenIssuer("https://id.test", [], "k.json")] }).dryRun.untried, []);
		t.match(why({ mode, access: users, issuers: [bound] }).whyVerdict, /proof of possession \(dpop\)/);
		t.match(why({ mode, callout: { ...CALLOUT, sign: true } }), { callout: { verdict: true, sign: true } });
	}
	t.equal(why({ access: users, issuers: [tokenIssuer("https://id.test", [], "k.json")] }).callout, null);
	t.equal(why({ access: policy({ regions: ["r"], pathTemplates: ["/{x}"], tenants: ["t"] }) }).callout, null);
	const place = { gateway: { name: "g", region: null, issuers: [], trustedProxies: [] }, identifies: true };
	const rules = (table: AccessTable) => JSON.stringify(accessPerRoute(table, "v1", place));
	t.match(
		rules(policy({ condition: "true" })),
		/"p":\{"permissions":\[\{"any":true\}\],"principals":\[\{"not_id":\{"any":true/,
	);
});

t.test("a shadow policy about Variants does not move the verdict to the sidecar", async (t) => {
	const shadowed: AccessTable = {
		open: false,
		policies: access["policies on Variants"].policies.map((one) => ({ ...one, shadow: one.name === "q" })),
	};
	const cookie = experiment("c", "s", [1, 1], { unit: units.cookie ?? "" });
	const of = (experiments: ExecutionInput["experiments"]) =>
		executionOf({ access: shadowed, callout: CALLOUT, experiments, mode: "auto", issuers: [] });
	t.match(of([cookie]), { callout: { verdict: false, assignment: true }, whyVerdict: null });
	t.same(of([cookie]).dryRun.untried, [{ name: "q", why: "it judges Variants, and the sidecar chooses them" }]);
	t.same(of([experiment("h", "s", [1, 1])]).dryRun.untried, [], "Envoy tries the policy if it chooses the Variant");
});

t.test("the Plan names shadow policies that are not tried, and compiles only the others", async (t) => {
	const set = resourceSet({
		services: [service("s", variants, { access: null }), service("free", variants)],
		accessPolicies: [
			accessPolicy("p", "allow", ["s"], { principals }),
			accessPolicy("later", "deny", ["s", "free"], { mode: "shadow", condition: "true" }),
			accessPolicy("dry", "deny", ["s"], { mode: "shadow", methods: ["DELETE"] }),
		],
	});
	const plan = compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS });
	t.same(plan.problems, []);
	t.equal(plan.asksSidecar, false);
	const because = (rule: string) =>
		plan.rules
			.filter((one) => one.rule === rule)
			.map(wordsOf)
			.join();
	t.match(
		because("Service free: access"),
		/; tried only later \(shadow\); not reported later \(it has a CEL condition\)$/,
	);
	t.match(
		because("Service s: access"),
		/; not reported later \(it has a CEL condition\), requests that would be allowed; set callout.access: sidecar/,
	);
	const routes = JSON.stringify(plan.envoy.routes);
	t.match(routes, /"dry"/);
	t.notMatch(routes, /"later"/);
	const asked = {
		...set,
		services: [service("s", variants, { access: null, callout: { ...CALLOUT, access: "sidecar" } })],
	};
	const sidecarPlan = compile(asked, EMPTY_STATUS, { collectors: NO_COLLECTORS });
	t.notMatch(sidecarPlan.rules.map(wordsOf).join(), /not reported/, "the sidecar tries it");
});

t.test("an untried allow that would refuse some requests hides the results of allowed ones", async (t) => {
	const table = (fields: object): AccessTable => ({
		open: false,
		policies: [...policy({}).policies, ...policy({ condition: "true", ...fields }, true).policies],
	});
	const allowed = (fields: object): boolean =>
		executionOf({ access: table(fields), callout: CALLOUT, experiments: [], mode: "auto", issuers: [] }).dryRun.reported
			.allowed;
	t.equal(allowed({}), true);
	t.equal(allowed({ groups: ["a"] }), false, "invalid tokens");
	t.equal(allowed({ pathTemplates: ["/{x}"] }), false, "paths that can be read in two ways");
	t.equal(allowed({ condition: 'request.path == "/a"' }), false);
});

t.test("a limit of tenants is a problem of the Plan if the sidecar decides access", async (t) => {
	const rateLimits = { service: null, principal: null, tenant: { requests: 1, perMs: 1_000 } };
	const set = resourceSet({
		services: [service("s", variants, { access: null, rateLimits })],
		accessPolicies: [accessPolicy("p", "allow", ["s"], { groups: ["a"] })],
	});
	const problems = (mode: Mode) => compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS, mode }).problems;
	t.same(problems("auto"), []);
	t.match(problems("callout"), [
		{ message: "Service s has rateLimits.tenant, which holds only where Envoy decides access: the mode is callout" },
	]);
});

t.test("the sidecar judges lists that are too long for Envoy; dry runs do not try them", async (t) => {
	const issuers = [tokenIssuer("https://id.test", ["weir"], "/keys")];
	const texts = (count: number) => Array.from({ length: count }, (_, at) => `g${at}`);
	const judged = (...specs: readonly Partial<AccessPolicy["spec"]>[]) => {
		const policies = specs.map((spec, at) => accessPolicy(`p${at}`, "allow", ["s"], spec));
		const table = accessTable(service("s", variants, { access: null }), policies);
		return executionOf({ access: table, callout: CALLOUT, experiments: [], mode: "auto", issuers });
	};
	const users = { users: ["https://id.test#ann"] };
	t.equal(judged({ groups: texts(LISTED_VALUES_MAX) }).whyVerdict, null);
	const many = texts(LISTED_VALUES_MAX);
	for (const spec of [
		{ groups: [...many, "x"] },
		{ groups: many, tenants: ["x"] },
		{ groups: many, purposes: ["x"] },
		{ groups: many, claims: [{ claim: "scope", values: ["x"] }] },
	]) {
		const { whyVerdict, callout, beyondEnvoy } = judged(spec);
		t.equal(
			whyVerdict,
			`the Service's policies name ${LISTED_VALUES_MAX + 1} groups, tenants, purposes and values of claims, and Envoy, which compares each with each item of a token's list, is given ${LISTED_VALUES_MAX} at most`,
		);
		t.match(callout, { verdict: true, onFailure: "deny" });
		t.equal(beyondEnvoy, true);
	}
	t.not(judged({ groups: many }, { groups: ["x"] }).whyVerdict, null, "of all policies together");
	t.equal(judged({ users: many.map((one) => `https://id.test#${one}`) }, { groups: many }).whyVerdict, null);
	const unheard = {
		access: accessTable(service("s", variants, { access: null }), [
			accessPolicy("p", "allow", ["s"], { groups: [...many, "x"] }),
		]),
	};
	const none = executionOf({ ...unheard, callout: CALLOUT, experiments: [], mode: "auto", issuers: [] });
	t.equal(none.whyVerdict, null, "without an issuer there is no list");
	const dry = accessTable(service("s", variants), [
		accessPolicy("p", "allow", ["s"], { groups: [...many, "x"], mode: "shadow" }),
	]);
	const untriedBy = (believed: typeof issuers) =>
		executionOf({ access: dry, callout: CALLOUT, experiments: [], mode: "auto", issuers: believed }).dryRun.untried
			.length;
	t.same([untriedBy(issuers), untriedBy([])], [1, 0]);

	const tried = judged({ groups: many }, { groups: ["x"], mode: "shadow" }, { ...users, mode: "shadow" });
	t.equal(tried.whyVerdict, null, "a dry run changes no served request");
	t.same(
		tried.dryRun.untried.map(({ name }) => name),
		["p1"],
		"a policy only about users is tried",
	);
	t.match(tried.dryRun, {
		untried: [{ name: "p1", why: /^the Service's policies name 201 groups/ }],
		reported: { denied: false, allowed: false },
	});
	t.same(judged({ groups: texts(9) }, { groups: ["x"], mode: "shadow" }).dryRun.untried, []);
});

t.test("denials may double the number of values; then no shadow policy is tried", async (t) => {
	const issuers = [tokenIssuer("https://id.test", ["weir"], "/keys")];
	const texts = (count: number) => Array.from({ length: count }, (_, at) => `g${at}`);
	const judged = (allows: number, denials: number, ...shadows: readonly Partial<AccessPolicy["spec"]>[]) => {
		const policies = [
			accessPolicy("a", "allow", ["s"], { groups: texts(allows) }),
			accessPolicy("d", "deny", ["s"], { groups: texts(denials) }),
			...shadows.map((spec, at) => accessPolicy(`p${at}`, "deny", ["s"], { ...spec, mode: "shadow" })),
		];
		const table = accessTable(service("s", variants, { access: null }), policies);
		return executionOf({ access: table, callout: CALLOUT, experiments: [], mode: "auto", issuers });
	};
	const most = LISTED_VALUES_MAX;
	t.equal(judged(most, most).whyVerdict, null);
	t.equal(judged(1, 2 * most - 1).whyVerdict, null);
	t.match(judged(most, most + 1).whyVerdict, /policies name 401 groups.* is given 400 at most$/);
	t.match(judged(most + 1, 1).whyVerdict, /allows name 201 groups.* is given 200 at most$/);
	const untried = (execution: ReturnType<typeof judged>) => execution.dryRun.untried.map(({ name }) => name);
	const methods = { methods: ["GET"] };
	const full = judged(most, 1, methods, { groups: ["x"] });
	t.equal(full.whyVerdict, null, "a dry run moves no verdict");
	t.same(untried(full), ["p0", "p1"]);
	t.match(full.dryRun.untried, [{ why: /policies name 202 groups.* is given 200 at most$/ }, {}]);
	t.same(untried(judged(most - 1, 1, methods, { groups: ["x"] })), ["p1"], "p0 has no lists and is tried");
	t.same(untried(judged(most - 2, 1, methods, { groups: ["x"] })), []);
});

t.test("an open Service that a policy selects is protected, and may need the sidecar", async (t) => {
	const both = { ...access.policies, open: true };
	const input = {
		access: both,
		callout: { ...CALLOUT, access: "sidecar" as const },
		experiments: [],
		mode: "auto" as const,
		issuers: [],
	};
	t.match(executionOf(input).callout, { verdict: true, onFailure: "deny" });
	const neither = { open: false, policies: [] };
	t.match(executionOf({ ...input, access: neither }).callout, { verdict: true }, "nor is one without access");
});

t.test("only Experiments with live units need the sidecar", async (t) => {
	const own = experiment("e", "s", [1, 1], { unit: units.cookie ?? "" });
	const set = resourceSet({ services: [service("s", variants)], experiments: [own] });
	const at = (phase: "Running" | "Paused" | "Promoting" | "Promoted" | "RolledBack" | "Aborted") =>
		compile(set, { experiments: { e: experimentStatus(own, { phase }) }, services: {} }, { collectors: NO_COLLECTORS });
	for (const phase of ["Running", "Paused", "Promoting"] as const) {
		t.match(at(phase).table.services[0]?.callout, { assignment: true }, phase);
		t.equal(at(phase).asksSidecar, true);
	}
	for (const phase of ["Promoted", "RolledBack", "Aborted"] as const) {
		t.equal(at(phase).table.services[0]?.callout, null, phase);
		t.equal(at(phase).asksSidecar, false);
	}
	t.equal(compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS }).asksSidecar, true, "a new one runs");
});
