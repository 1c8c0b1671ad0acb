/** Signed decisions: a valid one is accepted once, and every kind of invalid one is refused. */
import { createHash, sign } from "node:crypto";
import t from "tap";
import { type DecisionExpected, DecisionVerifier, decisionSigner } from "../../../src/trust/tokens/decision.js";
import { Replays } from "../../../src/trust/tokens/replays.js";
import { createDevelopmentCa, type IssuedCertificate } from "../identity/developmentCa.js";

const SIDECAR = "spiffe://weir.test/weir/sidecar";
const FACTS = {
	method: "POST",
	path: "/v2/models/m/infer?x=1",
	host: "shop.test",
	service: "shop",
	variant: "v2",
	principal: "spiffe://weir.test/web",
};
const authority = { trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 3_600_000 };
const [ca, foreign] = [await createDevelopmentCa(authority), await createDevelopmentCa(authority)];
const issued = await ca.issue({ spiffeId: SIDECAR });
const svid = ({ certificate, privateKey }: IssuedCertificate) => ({ certificate, privateKey });
const own = svid(issued);
const START = Date.now();

class Scene {
	nowMs = START;
	bundle = ca.certificate;
	readonly verifier = new DecisionVerifier({
		trustBundle: () => this.bundle,
		admits: (id) => id === SIDECAR,
		nowMs: () => this.nowMs,
		monotonicMs: () => this.nowMs,
	});
	readonly sign = (facts = FACTS, identity = own): string =>
		decisionSigner(
			() => identity,
			() => this.nowMs,
		)(facts) ?? "";
	readonly verify = (values: string | readonly string[], expected: DecisionExpected = FACTS) =>
		this.verifier.verify(typeof values === "string" ? [values] : values, expected);
}

t.test("a decision is valid once, for its own facts", async (t) => {
	const one = new Scene();
	const decision = one.sign();
	const { service, variant, principal } = FACTS;
	t.same(one.verify(decision), { signer: SIDECAR, service, variant, principal });
	t.same(one.verify(decision), { refused: "it was used before" });
	t.same(one.verify(one.sign()), { signer: SIDECAR, service, variant, principal }, "the next one");
	t.notMatch(Buffer.from(decision.split(".")[1] ?? "", "base64url").toString(), /infer/, "no path in clear");
	t.match(one.verify(one.sign({ ...FACTS, principal: null as unknown as string })), { principal: null });
	const { method, path } = FACTS;
	t.match(one.verify(one.sign(), { method, path }), { service, variant }, "a hop that knows less of itself");
});

t.test("an examined decision is not used up, and an unused one is given back", async (t) => {
	const one = new Scene();
	const look = (decision: string) => {
		const held = one.verifier.examine([decision], FACTS);
		if ("refused" in held) throw new Error(held.refused);
		return held;
	};
	const decision = one.sign();
	const [first, second] = [look(decision), look(decision)];
	t.equal(first.claims.signer, SIDECAR);
	t.equal(first.use(), null);
	t.equal(second.use(), "it was used before");
	first.giveBack();
	t.equal(second.use(), null);
	t.equal(first.use(), "it was used before");
	t.same(one.verifier.examine([], FACTS), { refused: "there must be exactly one decision" });
	const late = look(one.sign());
	one.nowMs = START + 10_001;
	t.equal(late.use(), "it has expired", "a decision that was held too long");
});

t.test("giveBack also frees the entry in the replay cache, in either half of its time", async (t) => {
	const [max, keptMs] = [8, 900];
	const used = new Replays(keptMs, max);
	for (const nowMs of [0, 300]) {
		for (let n = 0; n < 100; n++) {
			t.equal(used.take(`${n}`, nowMs), "first");
			used.giveBack(`${n}`);
		}
	}
	t.equal(used.take("old", 300), "first");
	t.equal(used.take("new", 600), "first");
	used.giveBack("old");
	used.giveBack("old");
	used.giveBack("unknown");
	const more = Array.from({ length: max }, (_, n) => used.take(`more ${n}`, 600));
	t.equal(more.filter((one) => one === "first").length, max - 1);
	t.equal(used.take("fresh", 10_000), "first", "and those that end are counted once");
});

t.test("a decision is valid for one method, path, host, service and variant", async (t) => {
	const one = new Scene();
	const others: readonly Partial<typeof FACTS>[] = [
		{ method: "GET" },
		{ path: "/v2/models/m/infer" },
		{ path: "/v2/models/m/infer?x=2" },
		{ host: "other.test" },
		{ service: "other" },
		{ variant: "v1" },
	];
	for (const other of others) {
		const decision = one.sign();
		t.match(one.verify(decision, { ...FACTS, ...other }), { refused: /another/ }, JSON.stringify(other));
		t.match(one.verify(decision), { service: "shop" }, "and is not used up by being refused");
	}
});

t.test("a decision is valid for some seconds", async (t) => {
	const one = new Scene();
	const decision = one.sign();
	one.nowMs = START + 10_001;
	t.same(one.verify(decision), { refused: "it has expired" });
	one.nowMs = START + 9_999;
	t.match(one.verify(decision), { service: "shop" }, "within lifetime and skew");
	t.same(one.verify(decision), { refused: "it was used before" }, "and is remembered as long");
	const early = one.sign();
	one.nowMs -= 5_001;
	t.same(one.verify(early), { refused: "it is of the future" });
	one.nowMs = START + 2 * 3_600_000;
	t.match(one.verify(one.sign()), { refused: /not of now/ }, "the signer's certificate has ended");
});

t.test("a decision needs an admitted signer of the trust bundle", async (t) => {
	const one = new Scene();
	t.match(one.verify(one.sign(FACTS, svid(await foreign.issue({ spiffeId: SIDECAR })))), { refused: /not trusted/ });
	t.match(one.verify(one.sign(FACTS, svid(await ca.issue({ spiffeId: `${SIDECAR}/x` })))), { refused: /may not/ });
	t.match(one.verify(one.sign(FACTS, svid(await ca.issue({ spiffeId: "spiffe://weir.test/web" })))), {
		refused: /may not/,
	});
	const decision = one.sign();
	t.match(one.verify(decision), { service: "shop" });
	one.bundle = foreign.certificate;
	t.match(one.verify(one.sign()), { refused: /not trusted/ }, "a removed root is not trusted");
	one.bundle = "";
	t.match(one.verify(one.sign()), { refused: /bundle/ });
	one.bundle = ca.certificate + foreign.certificate;
	t.match(one.verify(one.sign()), { service: "shop" }, "one of several roots");
	const mixed = { certificate: own.certificate, privateKey: (await ca.issue({ spiffeId: SIDECAR })).privateKey };
	t.match(one.verify(one.sign(FACTS, mixed)), { refused: /signature/ }, "another's certificate");
});

t.test("any changed byte makes a decision invalid", async (t) => {
	const one = new Scene();
	const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
	const [header = "", payload = "", signature = ""] = one.sign().split(".");
	const read = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString()) as Record<string, unknown>;
	const changed = (more: object): string => `${encode({ ...read(header), ...more })}.${payload}.${signature}`;
	const payloads = (more: object): string => `${header}.${encode({ ...read(payload), ...more })}.${signature}`;
	const wrong: Readonly<Record<string, readonly string[]>> = {
		none: [],
		two: [one.sign(), one.sign()],
		text: ["x"],
		"alg none": [changed({ alg: "none" })],
		HMAC: [changed({ alg: "HS256" })],
		"a token's type": [changed({ typ: "JWT" })],
		crit: [changed({ crit: ["x"] })],
		"no chain": [changed({ x5c: undefined })],
		"an empty chain": [changed({ x5c: [] })],
		"a chain of numbers": [changed({ x5c: [1] })],
		"a chain of nothing": [changed({ x5c: ["AAAA"] })],
		"a chain too long": [changed({ x5c: Array(4).fill((read(header).x5c as string[])[0]) })],
		"a longer life": [payloads({ exp: START / 1_000 + 3_600 })],
		"no end": [payloads({ exp: undefined })],
		"another variant": [payloads({ variant: "v1" })],
		"no jti": [payloads({ jti: "" })],
		"a member twice": [
			`${header}.${Buffer.from(`{"variant":"v2",${JSON.stringify(read(payload)).slice(1)}`).toString("base64url")}.${signature}`,
		],
		"no signature": [`${header}.${payload}.`],
		"a psychic signature": [`${header}.${payload}.${Buffer.alloc(64).toString("base64url")}`],
		"the CA as its own signer": [one.sign(FACTS, { certificate: ca.certificate, privateKey: own.privateKey })],
	};
	for (const [name, values] of Object.entries(wrong)) t.match(one.verify(values), { refused: /./ }, name);
	t.match(one.verify(`${header}.${payload}.${signature}`), { service: "shop" }, "the one that was changed was good");
});

t.test("other tokens of the signer, and longer lifetimes, are no decisions", async (t) => {
	const one = new Scene();
	const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
	const signedAnew = (header: object, payload: object = {}): string => {
		const [head = "", body = ""] = one.sign().split(".");
		const read = (part: string): object => JSON.parse(Buffer.from(part, "base64url").toString());
		const input = `${encode({ ...read(head), ...header })}.${encode({ ...read(body), ...payload })}`;
		const key = { key: own.privateKey, dsaEncoding: "ieee-p1363" } as const;
		return `${input}.${sign("sha256", Buffer.from(input), key).toString("base64url")}`;
	};
	t.match(one.verify(signedAnew({})), { service: "shop" });
	const header = { refused: "its header is invalid" };
	t.same(one.verify(signedAnew({ typ: "JWT" })), header);
	t.same(one.verify(signedAnew({ typ: undefined })), header);
	t.same(one.verify(signedAnew({ crit: ["x"] })), header);
	t.same(one.verify(signedAnew({}, { exp: START / 1_000 + 5.1 })), { refused: "it lives too long" });
});

t.test("without an identity nothing is signed", async (t) => {
	const absent = decisionSigner(() => {
		throw new Error("no SVID");
	});
	t.equal(absent(FACTS), null);
	t.equal(decisionSigner(() => ({ certificate: own.certificate, privateKey: "x" }))(FACTS), null);
	let current = own;
	const rotated = decisionSigner(() => current);
	const chainOf = (decision: string | null): string =>
		createHash("sha256")
			.update((decision ?? "").split(".")[0] ?? "")
			.digest("hex");
	const before = chainOf(rotated(FACTS));
	current = svid(await ca.issue({ spiffeId: SIDECAR }));
	t.not(chainOf(rotated(FACTS)), before, "signs with the newest");
});
