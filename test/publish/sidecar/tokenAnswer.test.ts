/** The decision with rules about users: what is verified, in which order, and with what result. */
import { fromBinary } from "@bufbuild/protobuf";
import t from "tap";
import { NO_MORE } from "../../../src/compile/access/rules/accessTable.js";
import type { TokenAnswer, TokenQuestion, VerifiedToken } from "../../../src/compile/access/users/token.js";
import type { CalloutTable, PolicyTable, ServiceTable } from "../../../src/compile/plan/compiledPlan.js";
import { CheckResponseSchema } from "../../../src/gen/envoy/service/auth/v3/external_auth_pb.js";
import { answer, answerOrWait, type Knowledge } from "../../../src/publish/sidecar/answer.js";
import { checkResponse } from "../../../src/publish/sidecar/checkResponse.js";
import { compileTable } from "../../../src/publish/sidecar/compiledTable.js";
import type { Answer, Question } from "../../../src/publish/sidecar/question.js";
import { invalidToken } from "../../../src/publish/sidecar/verdict.js";
import { calloutTable, serviceTable } from "./calloutTable.js";
import { NOBODY_ASKED, type QuestionFields, question } from "./question.js";

const WEB = "spiffe://weir.test/web";
const PROXY = "spiffe://weir.test/proxy";
function policy(name: string, fields: Partial<Omit<PolicyTable, "more">> & { more?: object } = {}): PolicyTable {
	const { more, ...rest } = fields;
	return {
		name,
		action: "allow",
		principals: [],
		methods: [],
		pathPrefixes: [],
		variants: [],
		shadow: false,
		...rest,
		more: more === undefined ? null : { ...NO_MORE, ...more },
	};
}

const guarded = (name: string, policies: readonly PolicyTable[], callout: Partial<CalloutTable> = {}): ServiceTable =>
	serviceTable(name, { access: { open: false, policies }, callout: calloutTable(callout) });

const doctors = policy("doctors", { more: { groups: ["doctors"] } });
const table = compileTable({
	version: "plan-1",
	table: {
		gateways: [
			{ name: "here", region: "ae", issuers: [], trustedProxies: [] },
			{ name: "nowhere", region: null, issuers: [], trustedProxies: [] },
			{ name: "proxied", region: null, issuers: [], trustedProxies: [PROXY] },
		],
		services: [
			guarded("users", [doctors]),
			guarded("apps-users", [{ ...doctors, principals: ["spiffe://weir.test/apps/*"] }]),
			guarded("mesh", [policy("web", { principals: [WEB] })]),
			guarded("region", [policy("ae", { principals: [WEB], more: { regions: ["ae"] } })]),
			guarded("until", [policy("then", { principals: [WEB], more: { validUntilMs: 1_000 } })]),
			guarded("signed", [policy("web", { principals: [WEB] })], { sign: true }),
			guarded("shadowed", [
				policy("web", { principals: [WEB] }),
				policy("no-writes", { action: "deny", methods: ["POST"], shadow: true }),
			]),
			guarded("dreamed", [policy("web", { principals: [WEB], shadow: true })]),
			guarded("judged-by-envoy", [doctors], { verdict: false }),
			serviceTable("open"),
			guarded("tried", [policy("web", { principals: [WEB] }), { ...doctors, action: "deny", shadow: true }]),
			guarded("tried-paths", [
				policy("web", { principals: [WEB] }),
				{ ...doctors, action: "deny", shadow: true, pathPrefixes: ["/a"] },
			]),
			serviceTable("open-tried", { access: { open: true, policies: [{ ...doctors, shadow: true }] } }),
			serviceTable("open-by-envoy", {
				access: { open: true, policies: [{ ...doctors, shadow: true }] },
				callout: calloutTable({ verdict: false }),
			}),
		],
	},
});
const token = (groups: readonly string[]): VerifiedToken => ({
	issuer: "https://issuer.test",
	subject: "ann",
	claims: { groups },
	groups,
	tenants: [],
	purposes: [],
});

const doctor = token(["doctors"]);

class Scene {
	readonly asked: TokenQuestion[] = [];
	reply: TokenAnswer | Promise<TokenAnswer> = { token: token(["doctors"]) };
	nowMs = 0;
	readonly signed: object[] = [];
	signature: string | null = "signature";
	readonly knowledge: Knowledge = {
		...NOBODY_ASKED,
		tables: { get: () => table },
		freshness: { ageMs: () => 0 },
		mint: () => "minted",
		nowMs: () => this.nowMs,
		verifyToken: (one) => {
			this.asked.push(one);
			return this.reply;
		},
		sign: (facts) => {
			this.signed.push(facts);
			return this.signature;
		},
	};

	ask(service: string, fields: QuestionFields = {}, knowledge: Partial<Knowledge> = {}): Answer {
		const given = answerOrWait({ ...this.knowledge, ...knowledge }, this.question(service, fields));
		if (given instanceof Promise) throw new Error("an answer at once was due");
		return given;
	}

	question(service: string, fields: QuestionFields): Question {
		return question({ service, path: "/v2?x=1", principal: WEB, ...fields });
	}
}
const bearer = { headers: { authorization: "Bearer a.b.c" } };
const short = ({ ruling }: Answer): string => `${ruling.verdict} ${ruling.reason} ${ruling.policy ?? "-"}`;

t.test("the user of a valid token is judged; without a token there is no user", async (t) => {
	const one = new Scene();
	t.equal(short(one.ask("users", bearer)), "allow allowed doctors");
	t.equal(one.asked.length, 1);
	one.reply = { token: token(["nurses"]) };
	t.equal(short(one.ask("users", bearer)), "deny no-policy-allows -");
	one.reply = null;
	t.equal(short(one.ask("users", bearer)), "deny no-policy-allows -", "an Authorization that is no token");
	t.equal(short(one.ask("users")), "deny no-policy-allows -");
	t.equal(one.asked.length, 3, "without an Authorization header no token is verified");
});

t.test("behind a trusted proxy the client shows the token: its certificate, its share of costly proofs", async (t) => {
	const one = new Scene();
	const hash = "ab".repeat(32);
	const ask = (peer: string, forwarded: string | null) => {
		const more = forwarded === null ? {} : { "x-weir-forwarded-cert": forwarded };
		return one.ask("users", {
			principal: peer,
			gateway: "proxied",
			certificateThumbprint: "the connection's",
			headers: { ...bearer.headers, ...more },
		});
	};
	const last = () => [one.asked.at(-1)?.certificateThumbprint, one.asked.at(-1)?.payer];
	ask(PROXY, `URI=${WEB};Hash=${hash}`);
	t.same(last(), [Buffer.from(hash, "hex").toString("base64url"), WEB]);
	ask(PROXY, `URI=${WEB}`);
	t.same(last(), [null, WEB]);
	ask(WEB, `URI=${PROXY};Hash=${hash}`);
	t.same(last(), ["the connection's", WEB]);
	one.asked.length = 0;
	t.equal(short(ask(PROXY, null)), "deny not-canonical -");
	t.equal(short(ask(PROXY, `URI=${PROXY.slice(0, PROXY.lastIndexOf("/"))}`)), "deny not-canonical -", "a trust domain");
	t.equal(one.asked.length, 0, "a token without a client is not verified");
});

t.test("an invalid token is refused whatever the rules, if any rule uses users", async (t) => {
	const one = new Scene();
	for (const refused of ["invalid-token", "verification-limited"] as const) {
		one.reply = { refused, why: "" };
		t.equal(short(one.ask("users", bearer)), `deny ${refused} -`);
		t.equal(one.ask("users", bearer).ruling, one.ask("users", bearer).ruling, "the same object each time");
	}
	one.asked.length = 0;
	for (const name of ["mesh", "open", "judged-by-envoy"]) t.equal(one.ask(name, bearer).ruling.verdict, "allow", name);
	t.equal(one.asked.length, 0, "no token is verified if no rule uses users, or Envoy has verified it");
	t.equal(short(one.ask("users", bearer, { verifyToken: null })), "deny invalid-token -", "no verifier can confirm it");
	t.equal(short(one.ask("users", {}, { verifyToken: null })), "deny no-policy-allows -");
});

t.test("unavailable keys are reported in the access log, never to the client", async (t) => {
	const one = new Scene();
	one.reply = { refused: "invalid-token", why: "" };
	const usual = one.ask("users", bearer);
	t.equal(usual.ruling.fault, null);
	one.reply = { refused: "invalid-token", why: "", keyless: true };
	const keyless = one.ask("users", bearer);
	t.equal(keyless.ruling, one.ask("users", bearer).ruling, "the same object each time");
	t.same({ ...keyless.ruling, fault: null }, usual.ruling);
	const onWire = (one: Answer) =>
		fromBinary(CheckResponseSchema, checkResponse(one, { weirHeaders: [] }) as Uint8Array);
	t.match(onWire(keyless).dynamicMetadata, { reason: "invalid-token", fault: "no-issuer-keys" });
	t.same(onWire(keyless).httpResponse, onWire(usual).httpResponse);
});

t.test("callers that no allow policy matches, for any user, are never allowed", async (t) => {
	const one = new Scene();
	const neverAllowed = (service: string, principal: string | null) => {
		one.ask(service, { ...bearer, principal });
		return one.asked.at(-1)?.neverAllowed();
	};
	t.equal(neverAllowed("users", null), false, "a policy about users alone is about callers of any workload");
	t.equal(neverAllowed("apps-users", "spiffe://weir.test/apps/a"), false);
	for (const other of [WEB, "spiffe://weir.test/apps", null])
		t.equal(neverAllowed("apps-users", other), true, String(other));
	t.equal(neverAllowed("tried", WEB), false);
	t.equal(neverAllowed("tried", PROXY), true, "a deny policy allows no caller");
	t.equal(neverAllowed("open-tried", null), false);
	const behind = (id: string) =>
		one.ask("apps-users", {
			principal: PROXY,
			gateway: "proxied",
			headers: { ...bearer.headers, "x-weir-forwarded-cert": `URI=${id}` },
		});
	behind("spiffe://weir.test/apps/a");
	t.equal(one.asked.at(-1)?.neverAllowed(), false, "of the client that its proxy names");
	behind(WEB);
	t.equal(one.asked.at(-1)?.neverAllowed(), true);
});

t.test("the verifier gets the token, its proof and the request", async (t) => {
	const one = new Scene();
	const verified = (fields: QuestionFields): TokenQuestion | undefined => {
		one.ask("users", fields);
		return one.asked.at(-1);
	};
	const asked = verified({
		headers: { authorization: "Bearer x", dpop: "p" },
		secure: true,
		host: "users.test:8443",
		path: "/v2/x?a",
		gateway: "here",
		method: "PUT",
		certificateThumbprint: "thumb",
	});
	const { authorization, dpop, gateway, method, url, certificateThumbprint, payer } = asked as TokenQuestion;
	t.same(
		{ authorization, dpop, gateway, method, url, certificateThumbprint, payer },
		{
			authorization: ["Bearer x"],
			dpop: ["p"],
			gateway: "here",
			method: "PUT",
			url: "https://users.test:8443/v2/x",
			certificateThumbprint: "thumb",
			payer: WEB,
		},
	);
	t.equal(verified({ ...bearer, principal: null, sourceAddress: "10.0.0.1" })?.payer, "10.0.0.1");
	t.equal(verified({ ...bearer, principal: null })?.payer, "");
	t.equal(verified(bearer)?.url, "http://shop.test/v2");
});

t.test("a token whose verification takes time is answered in a second pass", async (t) => {
	const one = new Scene();
	one.reply = Promise.resolve({ token: token(["doctors"]) });
	const asked = one.question("users", bearer);
	const first = answerOrWait(one.knowledge, asked);
	t.ok(first instanceof Promise);
	t.equal(short(answer(one.knowledge, asked, await (first as Promise<TokenAnswer>))), "allow allowed doctors");
	t.equal(one.asked.length, 1, "and not verified again");
	t.equal(short(answer(one.knowledge, asked, { refused: "invalid-token", why: "" })), "deny invalid-token -");
	t.equal(
		short(answer(one.knowledge, one.question("mesh", bearer), { refused: "invalid-token", why: "" })),
		"allow allowed web",
	);
});

t.test("a path that is not canonical is refused before any token is verified", async (t) => {
	const one = new Scene();
	for (const fields of [
		{ path: "/a;b" },
		{ method: "TRACE" },
		{ headers: { authorization: ["Bearer a", "Bearer b"] } },
		{ headers: { "x-http-method-override": "DELETE" } },
	]) {
		for (const name of ["users", "mesh"]) {
			t.equal(short(one.ask(name, { ...bearer, ...fields })), "deny not-canonical -", JSON.stringify(fields));
		}
		t.equal(
			one.ask("open", { ...bearer, ...fields }).ruling.verdict,
			"allow",
			"without rules every request is allowed",
		);
	}
	t.equal(one.asked.length, 0);
});

t.test("the bypass probe is denied whatever the rules, with the text of Envoy's own rule", async (t) => {
	const one = new Scene();
	for (const method of ["OPTIONS", "GET"]) {
		for (const name of ["users", "mesh"]) {
			t.equal(short(one.ask(name, { path: "/.well-known/weir-probe", method })), "deny forbidden -");
			t.equal(short(one.ask(name, { path: "/.well-known/weir-probe?a", method })), "deny forbidden -");
		}
	}
});

t.test("conditions use the Gateway's region and the current time", async (t) => {
	const one = new Scene();
	t.equal(short(one.ask("region", { gateway: "here" })), "allow allowed ae");
	for (const gateway of ["nowhere", "unknown", null]) {
		t.equal(one.ask("region", { gateway }).ruling.verdict, "deny", String(gateway));
	}
	one.nowMs = 999;
	t.equal(one.ask("until").ruling.verdict, "allow");
	one.nowMs = 1_001;
	t.equal(one.ask("until").ruling.verdict, "deny");
});

t.test("shadow policies decide nothing, and report their verdict", async (t) => {
	const one = new Scene();
	const same = { shadow: null, shadowReason: null, shadowPolicy: null } as const;
	t.match(one.ask("shadowed").ruling, { verdict: "allow", policy: "web", ...same });
	const would = one.ask("shadowed", { method: "POST" });
	const denied = { shadow: "deny", shadowReason: "forbidden", shadowPolicy: "no-writes" } as const;
	t.match(would.ruling, { verdict: "allow", policy: "web", ...denied });
	t.equal(one.ask("shadowed", { method: "POST" }).ruling, would.ruling, "the same object each time");
	t.match(one.ask("shadowed", { principal: null, method: "POST" }).ruling, { verdict: "deny", shadow: null });
	t.match(one.ask("dreamed").ruling, {
		verdict: "deny",
		reason: "no-policy-allows",
		shadow: "allow",
		shadowReason: "allowed",
		shadowPolicy: "web",
	});
});

t.test("if only shadow policies use users, an invalid token is ignored, and its refusal is reported", async (t) => {
	const one = new Scene();
	const verdicts = (service: string) => {
		const { verdict, reason, shadow, shadowReason, shadowPolicy } = one.ask(service, bearer).ruling;
		return `${verdict} ${reason}, ${shadow ?? "the same"} ${shadowPolicy ?? shadowReason ?? "-"}`;
	};
	t.equal(verdicts("tried"), "allow allowed, deny doctors");
	t.equal(verdicts("open-tried"), "allow open, the same -");
	one.reply = { token: token(["nurses"]) };
	t.equal(verdicts("tried"), "allow allowed, the same -");
	t.equal(verdicts("open-tried"), "allow open, deny no-policy-allows");
	for (const refused of ["invalid-token", "verification-limited"] as const) {
		one.reply = { refused, why: "" };
		t.equal(verdicts("tried"), `allow allowed, deny ${refused}`);
		t.equal(verdicts("open-tried"), `allow open, deny ${refused}`);
	}
	const ambiguous = one.ask("tried-paths", { ...bearer, path: "/a%2Cb" }).ruling;
	t.match(ambiguous, { verdict: "allow", shadow: "deny", shadowReason: "not-canonical" }, "as the gate, before tokens");
	const before = one.asked.length;
	t.ok(before > 0);
	const byEnvoy = { ...bearer, plan: "plan-1" };
	t.match(one.ask("open-by-envoy", byEnvoy).ruling, { verdict: "allow", reason: "open", shadow: null });
	t.equal(one.asked.length, before, "a dry run of Envoy is not repeated without a token");
});

t.test("a dry run does not wait for keys that do not come", async (t) => {
	const one = new Scene();
	one.reply = new Promise(() => {});
	const asked = one.question("tried", bearer);
	const token = await (answerOrWait(one.knowledge, asked) as Promise<TokenAnswer>);
	t.match(answer(one.knowledge, asked, token).ruling, { verdict: "allow", reason: "allowed", shadow: "deny" });
	one.reply = Promise.resolve({ token: doctor });
	t.match(await (answerOrWait(one.knowledge, asked) as Promise<TokenAnswer>), { token: { groups: ["doctors"] } });
});

t.test("a signed decision binds what was decided; without a signer there is no answer", async (t) => {
	const one = new Scene();
	const allowed = one.ask("signed", { method: "POST", path: "/v2/x?a=1", host: "signed.test" });
	t.match(allowed, { decision: "signature", ruling: { verdict: "allow" } });
	t.same(one.signed, [
		{ method: "POST", path: "/v2/x?a=1", host: "signed.test", service: "signed", variant: "v1", principal: WEB },
	]);
	t.match(
		one.ask("signed", { principal: null }),
		{ decision: null, ruling: { verdict: "deny" } },
		"denials are not signed",
	);
	t.equal(one.ask("mesh").decision, null);
	t.equal(one.signed.length, 1);
	one.signature = null;
	t.match(one.ask("signed").ruling, { verdict: "none", reason: "no-signer", service: "signed" });
	t.match(one.ask("signed", {}, { sign: null }).ruling, { verdict: "none", reason: "no-signer" });
});

t.test("a 401 offers the schemes that the issuers' bindings take", async (t) => {
	const offered = (...bindings: readonly ("none" | "dpop" | "mtls" | "either")[]): string[] => {
		const { verdict } = invalidToken(bindings.map((binding) => ({ binding })));
		const { challenge } = verdict as { challenge: string };
		return challenge.split(", ").map((one) => one.replace(' error="invalid_token"', ""));
	};
	t.same(offered(), ["Bearer"]);
	t.same(offered("none", "mtls"), ["Bearer"]);
	t.same(offered("dpop", "dpop"), ["DPoP"]);
	for (const binding of ["none", "mtls", "either"] as const) t.same(offered("dpop", binding), ["Bearer", "DPoP"]);
	t.same(offered("either"), ["Bearer", "DPoP"]);
});
