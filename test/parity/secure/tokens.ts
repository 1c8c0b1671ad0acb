/** Tokens of generated requests: the bytes that are sent, and the user's true claims. */

import { createMinter, type Minter } from "../../compile/envoy/secure/tokens.js";
import { mulberry32 } from "../../envoy/units.js";
import { pick, type Random } from "../declaration.js";
import { AT_ISSUER, AUDIENCE, JWT_ISSUER, SUBJECTS, TEXTS } from "./declaration.js";
import type { Signers } from "./signers.js";

export interface Shown {
	/** Values of Authorization headers. */
	readonly authorization: readonly string[];
	/** none: no token. bad: an invalid one. good: its issuer and claims. */
	readonly kind: "none" | "bad" | "good";
	readonly claims: Readonly<Record<string, unknown>>;
	/** What was done to it, for messages. */
	readonly what: string;
}

const NONE = { kind: "none", claims: {} } as const;

/** So few that verifying them is not what takes the time, and caches are used. */
export function tokenPool(
	minter: Minter,
	signers: Signers,
	{ seed, size, nowMs }: { readonly seed: number; readonly size: number; readonly nowMs: number },
): readonly Shown[] {
	const random = mulberry32(seed);
	const seconds = Math.floor(nowMs / 1_000);
	return [
		{ ...NONE, authorization: [], what: "nothing" },
		{ ...NONE, authorization: ["Basic Zm9vOmJhcg=="], what: "basic" },
		{ ...NONE, authorization: ["Bearerx"], what: "glued" },
		...Array.from({ length: size }, () => good(minter, signers, random)),
		...bad(minter, seconds),
		...Object.entries(signers.bad).map(([what, signer]): Shown => {
			const payload = JSON.stringify(minter.claims({ iss: JWT_ISSUER }));
			return { authorization: [`Bearer ${signer(payload)}`], kind: "bad", claims: {}, what };
		}),
	];
}

/** A text, a list, or something that no rule can match. */
function words(random: Random): unknown {
	return pick(random, [
		() => pick(random, TEXTS),
		() => TEXTS.filter(() => random() < 0.4),
		() => [pick(random, TEXTS), 5, null, ["red"]],
		() => `${pick(random, TEXTS)} ${pick(random, TEXTS)}`,
		() => 7,
		() => true,
		() => ({ red: "red" }),
		() => "",
		() => undefined,
	])();
}

function good(minter: Minter, signers: Signers, random: Random): Shown {
	const at = random() < 0.5;
	const claims = JSON.parse(
		JSON.stringify({
			...minter.claims(),
			iss: at ? AT_ISSUER : JWT_ISSUER,
			aud: at ? pick(random, ["anything", ["x", "y"]]) : pick(random, [AUDIENCE, "other", ["z", AUDIENCE]]),
			sub: pick(random, SUBJECTS),
			...(at ? { client_id: "c", jti: `j${random()}` } : {}),
			groups: words(random),
			tenant: words(random),
			purpose: words(random),
			scope: words(random),
			level: words(random),
			org: pick(random, [undefined, "red", { roles: words(random), unit: words(random) }]),
			"org.roles": words(random),
			"https://weir.test/tenant": words(random),
		}),
	);
	const token = pick(random, signers.good)(
		JSON.stringify(claims),
		at ? { typ: pick(random, ["at+jwt", "application/AT+JWT"]) } : {},
	);
	return { authorization: [`Bearer ${token}`], kind: "good", claims, what: at ? "at+jwt" : "jwt" };
}

function bad(minter: Minter, seconds: number): readonly Shown[] {
	const jwt = { iss: JWT_ISSUER };
	const at = { iss: AT_ISSUER, client_id: "c", jti: "j" };
	const AT = { typ: "at+jwt" };
	const good = minter.token(jwt);
	const foreign = createMinter(seconds * 1_000).token(jwt);
	const shown = (what: string, ...authorization: readonly string[]): Shown => ({
		authorization,
		kind: "bad",
		claims: {},
		what,
	});
	const token = (what: string, claims: object, header?: object) =>
		shown(what, `Bearer ${minter.token(claims, header)}`);
	return [
		shown("lower case", `bearer ${good}`),
		shown("two blanks", `Bearer  ${good}`),
		shown("dpop", `DPoP ${good}`),
		shown("alone", "Bearer"),
		shown("garbage", "Bearer garbage"),
		shown("inside", `Basic x Bearer ${good}`),
		shown("more behind", `Bearer ${good} x`),
		shown("signature", `Bearer ${good.slice(0, -6)}AAAAAA`),
		shown("foreign key", `Bearer ${foreign}`),
		token("issuer", { iss: "https://evil.test" }),
		token("audience", { ...jwt, aud: "other" }),
		token("audience URL", { ...jwt, aud: `https://${AUDIENCE}` }),
		token("no audience", { ...jwt, aud: undefined }),
		token("expired", { ...jwt, iat: seconds - 3_600, exp: seconds - 120 }),
		token("no exp", { ...jwt, exp: undefined }),
		token("not yet", { ...jwt, nbf: seconds + 7_000 }),
		token("future", { ...jwt, iat: seconds + 3_000, exp: seconds + 6_000 }),
		token("long", { ...jwt, iat: seconds - 4_000, exp: seconds + 4_000 }),
		token("no iat", { ...jwt, iat: undefined }),
		token("no kid", jwt, { kid: undefined }),
		token("kid", jwt, { kid: "other" }),
		token("crit", jwt, { crit: ["x"], x: 1 }),
		token("bound", { ...jwt, cnf: { jkt: "x" } }),
		token("sub a number", { ...jwt, sub: 7 }),
		token("HS256", jwt, { alg: "HS256" }),
		token("at typ", at),
		token("at client_id", { ...at, client_id: undefined }, AT),
		token("at jti", { ...at, jti: "" }, AT),
		token("at aud", { ...at, aud: undefined }, AT),
		shown("twice", `Bearer ${minter.raw(JSON.stringify(minter.claims(jwt)).replace("{", '{"sub":"bob",'))}`),
	];
}
