/** Quotas for the verification of tokens. */

import { calculateJwkThumbprint } from "jose";
import t from "tap";
import { TOKENS_PENDING_MAX } from "../../../src/limits/index.js";
import { Admission, TOKEN_FAILED } from "../../../src/trust/tokens/admission.js";
import { Payers } from "../../../src/trust/tokens/payers.js";
import { Replays } from "../../../src/trust/tokens/replays.js";
import { TOKENS_KEYS_WAITING_MAX } from "../../../src/trust/tokens/verifier.js";
import { CLAIMS, issuerOf, jwksBytes, keyPair, NOW, proofOf, publicJwk, Scene, segment, signed } from "./issuer.js";

const pair = await keyPair();
const foreign = await keyPair();
const jwk = await publicJwk(pair, { kid: "k1" });
const good = (sub: string, n = 0): Promise<string> => signed({ ...CLAIMS, sub, n }, pair);
/** A token signed by a key that is not the issuer's. */
const forged = (n: number, sub = `x${n}`): Promise<string> => signed({ ...CLAIMS, sub, n }, foreign);
const garbage = (kid: string, n: number): string =>
	`${segment({ alg: "ES256", kid })}.${segment({ ...CLAIMS, n })}.${segment(Buffer.alloc(64, 1))}`;
const count = (all: readonly string[], begin: string): number => all.filter((one) => one.startsWith(begin)).length;

t.test("tokens of an unknown key are not charged", async (t) => {
	const one = new Scene([jwk]);
	for (let n = 0; n < 2_000; n++) t.match(await one.verify(garbage("nope", n)), /^invalid-token: no key/);
	for (let n = 0; n < 50; n++) t.equal(await one.verify(await good(`u${n}`)), `ok u${n}`);
	t.equal(one.loads, 1, "the issuer gets no second request, because its keys are fresh");
});

t.test("good tokens of many users behind one payer cost the payer nothing", async (t) => {
	const one = new Scene([jwk], [issuerOf()], { admission: new Admission({ failed: { burst: 1, perSecond: 0 } }) });
	for (let n = 0; n < 20; n++) t.equal(await one.verify(await good(`u${n}`)), `ok u${n}`);
});

t.test("invalid signatures are bounded per payer; known tokens and other payers are not affected", async (t) => {
	const one = new Scene([jwk]);
	t.equal(await one.verify(await good("known")), "ok known");
	for (let n = 0; n < TOKEN_FAILED.burst; n++) t.match(await one.verify(await forged(n)), /^invalid-token: /);
	for (let n = 0; n < 5; n++) t.match(await one.verify(await forged(1e6 + n)), /^verification-limited: /);
	t.match(
		await one.verify(await good("new")),
		/^verification-limited/,
		"a new user is indistinguishable from a forger",
	);
	for (let n = 1; n < 50; n++) t.equal(await one.verify(await good("known", n)), "ok known");
	t.equal(await one.verify(await good("new"), { payer: "10.0.0.1" }), "ok new", "another payer");
	t.match(await one.verify("a.b.c"), /^invalid-token/, "a refusal without cryptography is not counted");
	for (let n = 0; n < 20; n++) t.match(await one.verify(await forged(n, "known")), /^invalid-token/);
	t.match(await one.verify(await forged(21, "known")), /^verification-limited/, "forgeries in a known name end too");
	one.monotonicMs += 1_000;
	t.equal(await one.verify(await good("newer")), "ok newer");
});

t.test("new tokens of one user are bounded, known tokens and others' are not", async (t) => {
	const one = new Scene([jwk], [issuerOf()], { admission: new Admission({ token: { burst: 2, perSecond: 1 } }) });
	t.equal(await one.verify(await good("ann", 1)), "ok ann");
	const known = await good("ann", 2);
	t.equal(await one.verify(known), "ok ann");
	t.match(await one.verify(await good("ann", 3)), /^verification-limited/);
	t.equal(await one.verify(known), "ok ann", "known");
	t.equal(await one.verify(await good("bob")), "ok bob");
	one.monotonicMs += 1_000;
	t.equal(await one.verify(await good("ann", 4)), "ok ann");
	t.match(await one.verify(await good("ann", 5)), /^verification-limited/);
	const shared = await good("cid");
	const at = () => one.verify(shared, { payer: "10.0.0.2" });
	t.same(await Promise.all([at(), at(), at(), at()]), Array(4).fill("ok cid"), "one verification for all at once");
	t.equal(await one.verify(await good("cid", 1)), "ok cid", "and paid once");
	t.match(await one.verify(await good("cid", 2)), /^verification-limited/);
});

t.test("the verifications in progress are bounded, and an ended one frees its place", async (t) => {
	const one = new Scene([jwk]);
	await one.verify(await good("first"));
	const tokens = await Promise.all(Array.from({ length: TOKENS_PENDING_MAX + 1 }, (_, n) => good(`u${n}`)));
	const all = await Promise.all(tokens.map((token, n) => one.verify(token, { payer: `10.0.0.${n % 2}` })));
	t.equal(count(all, "ok "), TOKENS_PENDING_MAX);
	t.equal(count(all, "verification-limited"), 1);
	t.equal(await one.verify(await good("later")), "ok later");
});

t.test("the tokens that wait for keys are bounded, and take no places for verification", async (t) => {
	let fetched = (_: Uint8Array): void => {};
	const one = new Scene(() => new Promise<Uint8Array>((resolve) => (fetched = resolve)));
	const waiting = Array.from({ length: TOKENS_KEYS_WAITING_MAX + 1 }, (_, n) => one.verify(garbage("nope", n)));
	fetched(jwksBytes([jwk]));
	const all = await Promise.all(waiting);
	t.equal(count(all, "invalid-token: no key"), TOKENS_KEYS_WAITING_MAX);
	t.equal(count(all, "verification-limited"), 1);
	t.equal(await one.verify(await good("bob")), "ok bob");
});

t.test("a valid DPoP proof is charged to its user, an invalid one to the payer", async (t) => {
	const holder = await keyPair();
	const thief = await keyPair();
	const jkt = await calculateJwkThumbprint(await publicJwk(holder));
	const bound = (sub: string) => signed({ ...CLAIMS, sub, cnf: { jkt } }, pair);
	const scene = (rates: ConstructorParameters<typeof Admission>[0]) =>
		new Scene([jwk], [issuerOf({ binding: "dpop" })], { admission: new Admission(rates) });
	const shown = async (token: string, by = holder, payer = "front-end") => ({
		authorization: [`DPoP ${token}`],
		dpop: [await proofOf(by, token)],
		payer,
	});
	const [ann, bob] = [await bound("ann"), await bound("bob")];

	const one = scene({ proof: { burst: 2, perSecond: 1 } });
	for (let n = 0; n < 2; n++) t.equal(await one.verify(null, await shown(ann)), "ok ann");
	t.match(await one.verify(null, await shown(ann)), /^verification-limited/);
	t.match(await one.verify(null, await shown(ann, holder, "elsewhere")), /^verification-limited/);
	t.equal(await one.verify(null, await shown(bob)), "ok bob", "another user behind the same payer");
	one.monotonicMs += 1_000;
	t.equal(await one.verify(null, await shown(ann)), "ok ann");
	t.match(await one.verify(null, await shown(ann)), /^verification-limited/);

	const other = scene({ failed: { burst: 3, perSecond: 0 }, failedUser: { burst: 2, perSecond: 0 } });
	t.equal(await other.verify(null, await shown(ann)), "ok ann");
	for (let n = 0; n < 5; n++) {
		const old = { ...(await shown(ann)), dpop: [await proofOf(holder, ann, { claims: { iat: NOW - 100 } })] };
		t.match(await other.verify(null, old), /^invalid-token: /, "a refusal without cryptography is not counted");
	}
	for (let n = 0; n < 5; n++) t.match(await other.verify(null, await shown(bob, thief)), /^invalid-token: /);
	t.match(await other.verify(null, await shown(bob, thief)), /^verification-limited: /, "3 of the payer, 2 of bob's");
	for (let n = 0; n < 10; n++) t.equal(await other.verify(null, await shown(ann)), "ok ann", "her proofs are valid");
});

t.test("a request without a place, or without space for its valid proof, is not charged", async (t) => {
	const admission = new Admission({ failed: { burst: TOKENS_PENDING_MAX, perSecond: 0 } });
	const refusals = Array.from({ length: 3 * TOKENS_PENDING_MAX }, (_, n) => admission.enter("token", "p", `u${n}`, 0));
	t.equal(refusals.filter((one) => one === "too many are being verified").length, 2 * TOKENS_PENDING_MAX);

	const holder = await keyPair();
	const jkt = await calculateJwkThumbprint(await publicJwk(holder));
	const none = { burst: 0, perSecond: 0 };
	const one = new Scene([jwk], [issuerOf({ binding: "dpop" })], {
		admission: new Admission({ failed: { burst: 1, perSecond: 0 }, failedUser: none }),
		proofs: new Replays(60_000, 1),
	});
	const ask = async (sub: string): Promise<string> => {
		const token = await signed({ ...CLAIMS, sub, cnf: { jkt } }, pair);
		return one.verify(null, { authorization: [`DPoP ${token}`], dpop: [await proofOf(holder, token)] });
	};
	t.equal(await ask("ann"), "ok ann");
	for (let n = 0; n < 3; n++) t.match(await ask("ann"), /^verification-limited: too many proofs are remembered/);
});

t.test("a charge to the user's own bound is refunded to the user, not to the payer", async (t) => {
	const once = { burst: 1, perSecond: 0 };
	const admission = new Admission({ failed: once, failedUser: once });
	const enter = (user: string) => admission.enter("token", "p", user, 0);
	const leave = (user: string, holds: boolean): void => {
		const pass = enter(user);
		if (typeof pass === "string") throw new Error(`${user}: ${pass}`);
		admission.leave(pass, holds, 0);
	};
	leave("ann", true);
	leave("unknown", false);
	for (let n = 0; n < 3; n++) {
		leave("ann", true);
		t.equal(enter("unknown"), "the caller has sent too many invalid ones");
	}
});

t.test("the replay cache is bounded", async (t) => {
	const replays = new Replays(90, 4);
	const take = (ids: string, atMs: number) => [...ids].map((id) => replays.take(id, atMs));
	t.same(take("abacd", 0), ["first", "first", "again", "first", "first"]);
	t.same(take("ea", 29), ["full", "again"]);
	t.same(take("ae", 119), ["again", "full"], "kept for as long as it would hold");
	t.same(take("aefgh", 150), ["first", "first", "first", "first", "full"], "and its places are free again");
	t.same(take("h", 10_000), ["first"], "after a pause too");
});

t.test("the number of remembered payers is bounded", async (t) => {
	const payers = new Payers({ burst: 1, perSecond: 0.001 }, 2);
	t.same(
		["a", "b", "a", "c", "b"].map((payer) => payers.pay(payer, 0)),
		[true, true, false, true, true],
		"the least recently seen payer begins anew",
	);
});
