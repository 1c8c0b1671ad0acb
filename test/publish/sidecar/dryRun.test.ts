/** A dry run predicts the enforced verdict: each request is checked with shadow policies, and with the same ones enforced. */
import t from "tap";
import type { TokenAnswer } from "../../../src/compile/access/users/token.js";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { answer } from "../../../src/publish/sidecar/answer.js";
import { compileTable } from "../../../src/publish/sidecar/compiledTable.js";
import type { Question } from "../../../src/publish/sidecar/question.js";
import { accessPolicy, gateway, PATIENT, resourceSet, service, variant } from "../../fixtures/resources.js";
import { NOBODY_ASKED, type QuestionFields, question } from "./question.js";

const id = (name: string): string => `spiffe://weir.test/${name}`;
const alice = { "x-weir-forwarded-cert": `URI=${id("alice")}` };
const ISSUER = "https://issuer.test";

type Mode = "shadow" | "enforce";

const all = { principals: ["*"] };
const tried: Readonly<Record<string, (mode: Mode) => ReturnType<typeof accessPolicy>>> = {
	"a path": (mode) => accessPolicy("admin", "deny", ["s"], { pathPrefixes: ["/admin"], mode }),
	"the proxy": (mode) => accessPolicy("no-proxy", "deny", ["s"], { principals: [id("proxy")], mode }),
	users: (mode) => accessPolicy("no-ann", "deny", ["s"], { users: [`${ISSUER}#ann`], pathPrefixes: ["/a"], mode }),
	everyone: (mode) => accessPolicy("wide", "allow", ["s"], { ...all, mode }),
};
const enforced = {
	"an allow": [accessPolicy("all", "allow", ["s"], all)],
	"an allow, and a ban on a proxy": [
		accessPolicy("all", "allow", ["s"], all),
		accessPolicy("ban", "deny", ["s"], { principals: [id("banned")] }),
	],
	"users and paths": [
		accessPolicy("all", "allow", ["s"], all),
		accessPolicy("no-eve", "deny", ["s"], { users: [`${ISSUER}#eve`], pathPrefixes: ["/e"] }),
	],
	nothing: [],
};
const questions: Readonly<Record<string, QuestionFields>> = {
	alice: { principal: id("alice") },
	"alice through a proxy": { principal: id("proxy"), headers: alice },
	"alice through a banned proxy": { principal: id("banned"), headers: alice },
	"a proxy without a client": { principal: id("proxy") },
	"a proxy with two clients": {
		principal: id("proxy"),
		headers: { "x-weir-forwarded-cert": [`URI=${id("alice")}`, `URI=${id("bob")}`] },
	},
	"the probe": { principal: id("alice"), method: "OPTIONS", path: "/.well-known/weir-probe" },
	"an override": { principal: id("alice"), headers: { "x-http-method-override": "DELETE" } },
	"two credentials": { principal: id("alice"), headers: { authorization: ["Basic YQ==", "Basic Yg=="] } },
	"an ambiguous path": { principal: id("alice"), path: "/a%2Cb" },
	"a parameter": { principal: id("alice"), path: "/a;b" },
	"a token": { principal: id("alice"), path: "/a", headers: { authorization: "Bearer x" } },
	"a token and an ambiguous path": {
		principal: id("alice"),
		path: "/a%2Cb",
		headers: { authorization: "Bearer x" },
	},
};
const tokens: Readonly<Record<string, TokenAnswer>> = {
	none: null,
	bad: { refused: "invalid-token", why: "" },
	ann: {
		token: { issuer: ISSUER, subject: "ann", claims: { sub: "ann" }, groups: [], tenants: [], purposes: [] },
	},
};

function judge(policies: readonly ReturnType<typeof accessPolicy>[], open: boolean) {
	const plan = compile(
		resourceSet({
			gateways: [gateway({ tls: { from: "identity" }, trustedProxies: [id("proxy"), id("banned")] })],
			services: [service("s", [variant("v1", 1)], { access: open ? "open" : null, callout: PATIENT })],
			accessPolicies: policies,
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
	const table = compileTable(plan);
	const knowledge = {
		tables: { get: () => table },
		freshness: { ageMs: () => 0 },
		mint: () => "x",
		...NOBODY_ASKED,
	};
	// The request comes from a foreign Envoy: the sidecar judges the open Service too.
	return (fields: QuestionFields, token: TokenAnswer, over: Partial<Question> = {}) => {
		const asked = question({ plan: null, service: "s", gateway: "edge", host: "s.test", ...fields });
		return answer(knowledge, { ...asked, ...over }, token).ruling;
	};
}

for (const [what, policies] of Object.entries(enforced)) {
	for (const [about, policy] of Object.entries(tried)) {
		t.test(`${what}; a dry run about ${about}`, async (t) => {
			const open = policies.length === 0;
			const dry = judge([...policies, policy("shadow")], open);
			const real = judge([...policies, policy("enforce")], false);
			const before = open ? null : judge(policies, false);
			for (const [name, fields] of Object.entries(questions)) {
				for (const [tokenName, token] of Object.entries(tokens)) {
					const { verdict, reason, policy, shadow, shadowReason, shadowPolicy } = dry(fields, token);
					const would = real(fields, token);
					const predicted =
						shadow === null ? { verdict } : { verdict: shadow, reason: shadowReason, policy: shadowPolicy };
					t.match(would, predicted, `${name}, token ${tokenName}: as in force`);
					const was = before?.(fields, token) ?? { verdict: "allow", reason: "open", policy: null };
					t.match({ verdict, reason, policy }, { verdict: was.verdict, reason: was.reason, policy: was.policy });
				}
			}
		});
	}
}

t.test("an ambiguous path is refused before a token is looked at, as Envoy's gate does", async (t) => {
	const ask = judge(enforced["users and paths"], false);
	for (const [name, reason] of [
		["a token", "invalid-token"],
		["a token and an ambiguous path", "not-canonical"],
	] as const)
		t.match(ask(questions[name] ?? {}, tokens.bad ?? null), { verdict: "deny", reason }, name);
});

t.test("a dry run of an open Service predicts its closing", async (t) => {
	const ask = judge([accessPolicy("wide", "allow", ["s"], { ...all, mode: "shadow" })], true);
	for (const [name, reason] of [
		["alice", null],
		["alice through a proxy", null],
		["a proxy without a client", "not-canonical"],
		["an override", "not-canonical"],
		["two credentials", "not-canonical"],
		["a parameter", "not-canonical"],
		["the probe", "forbidden"],
	] as const) {
		t.match(ask(questions[name] ?? {}, null), { verdict: "allow", reason: "open", shadowReason: reason }, name);
	}
	const without = judge([], true);
	const read: string[] = [];
	const headerValues = (name: string): readonly string[] => {
		read.push(name);
		return [];
	};
	t.match(without({ principal: id("alice") }, null, { headerValues }), { verdict: "allow", shadow: null });
	t.same(read, [], "without shadow policies an open Service reads no headers");
});
