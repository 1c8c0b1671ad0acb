/** Key sets as issuers might write them: valid, odd and broken; each key with its signer. */
import fc from "fast-check";
import { GOOD, MANY, type Members, ODD, type Signer } from "./signers.js";

export interface PublishedKey {
	/** null = no one can sign by this entry. */
	readonly signer: Signer | null;
	readonly entry: unknown;
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const zeroLed = (value: string): string =>
	Buffer.concat([Buffer.alloc(1), Buffer.from(value, "base64url")]).toString("base64url");

/** Another base64url text of the same bytes, with other spare bits; the same text if it has no spare bits. */
function spareBits(value: string): string {
	if (value.length % 4 === 0) return value;
	const last = LETTERS.indexOf(value.at(-1) ?? "");
	return `${value.slice(0, -1)}${LETTERS[last ^ 1] ?? ""}`;
}

/** Faults in a member of the key itself. */
const BENT: Readonly<Record<string, (value: string) => unknown>> = {
	missing: () => undefined,
	empty: () => "",
	null: () => null,
	number: () => 65_537,
	list: (value) => [value],
	undefined: () => "undefined",
	padded: (value) => `${value}=`,
	blank: (value) => `${value.slice(0, 4)} ${value.slice(4)}`,
	plain: (value) => Buffer.from(value, "base64url").toString("base64"),
	zeroLed,
	cut: (value) => value.slice(0, -4),
	"one letter more": (value) => `${value}A`,
	spareBits,
	zero: (value) => Buffer.alloc(Buffer.from(value, "base64url").length).toString("base64url"),
	ones: (value) => Buffer.alloc(Buffer.from(value, "base64url").length, 255).toString("base64url"),
	even: (value) => {
		const bytes = Buffer.from(value, "base64url");
		bytes.writeUInt8((bytes.at(-1) ?? 0) & 0xfe, bytes.length - 1);
		return bytes.toString("base64url");
	},
	one: () => "AQ",
	"a large exponent": () => "AQAAAAAAAAE",
	curve: (value) => (value === "P-256" ? "P-384" : "P-256"),
};

const seldom = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
	fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });

const ALGORITHMS = [
	undefined,
	"RS256",
	"PS384",
	"ES256",
	"ES384",
	"ES512",
	"EdDSA",
	"HS256",
	"none",
	"RSA-OAEP",
	"",
	5,
];

const around = fc.record({
	kid: seldom<unknown>("k", "k", "k", "other", "ü\u2028\u0000", undefined, undefined, "", 5, null),
	alg: fc.oneof(
		{ weight: 4, arbitrary: fc.constantFrom("own", undefined) },
		{ weight: 1, arbitrary: fc.constantFrom(...ALGORITHMS) },
	),
	use: seldom<unknown>("sig", undefined, undefined, "enc", "", 7),
	key_ops: seldom<unknown>(undefined, ["verify"], ["verify", "sign"], ["sign"], [], "verify"),
	more: seldom<Members>({}, {}, { x5c: ["AAAA"], note: "ü" }, { d: "AAAA" }, { oth: [] }, { k: "AAAA" }),
});

const bent = (signer: Signer): fc.Arbitrary<PublishedKey> =>
	fc
		.tuple(around, fc.constantFrom(...Object.keys(signer.jwk)), seldom<string>("", ...Object.keys(BENT)))
		.map(([{ more, ...members }, name, how]) => {
			const value = signer.jwk[name];
			const bend = BENT[how];
			const jwk = bend === undefined || typeof value !== "string" ? {} : { [name]: bend(value) };
			const alg = members.alg === "own" ? signer.algorithms[0] : members.alg;
			return { signer, entry: { ...signer.jwk, ...members, alg, ...jwk, ...more } };
		});

const NO_KEYS: readonly unknown[] = [
	null,
	5,
	"k",
	[],
	{},
	{ kty: "RSA", kid: "k" },
	{ kty: "RSA", kid: "k", n: "AQAB", e: "AQAB" },
	{ kty: "EC", crv: "P-256", kid: "k" },
	{ kty: "OKP", crv: "Ed25519", kid: "k" },
	{ kty: "OKP", crv: "X25519", kid: "k", x: Buffer.alloc(32, 9).toString("base64url") },
	{ kty: "oct", kid: "k", k: "AAAA" },
	{ kty: "constructor", crv: "prototype", kid: "k" },
	...[0, 1, 2].map((first) => ({
		kty: "OKP",
		crv: "Ed25519",
		kid: "k",
		x: Buffer.from([first, ...Array<number>(31).fill(0)]).toString("base64url"),
	})),
];

const key: fc.Arbitrary<PublishedKey> = fc.oneof(
	{ weight: 6, arbitrary: fc.constantFrom(...GOOD).chain(bent) },
	{ weight: 2, arbitrary: fc.constantFrom(...ODD).chain(bent) },
	{ weight: 1, arbitrary: fc.constantFrom(...NO_KEYS).map((entry) => ({ signer: null, entry })) },
);

/** Up to nine keys, most under one name, some twice; some sets are empty. */
export const keySet: fc.Arbitrary<readonly PublishedKey[]> = fc
	.tuple(fc.array(key, { maxLength: 8 }), fc.boolean())
	.map(([keys, twice]) => (twice ? [...keys, ...keys.slice(0, 1)] : keys));

const named = (signer: Signer, members: Members = {}): PublishedKey => ({
	signer,
	entry: { ...signer.jwk, kid: "k", ...members },
});

/** Sets on which Envoy and the sidecar could differ, or with which Envoy could refuse its listener. */
export const NAMED_SETS: readonly (readonly PublishedKey[])[] = [
	[],
	GOOD.map((signer) => named(signer)),
	...NO_KEYS.map((entry) => [{ signer: null, entry }]),
	...[...ODD, ...GOOD].map((signer) => [named(signer)]),
	...GOOD.filter(({ jwk }) => jwk.kty === "RSA").flatMap((signer) =>
		["AQ", "Ag", "AAEAAQ", "AQAAAAAAAAE", undefined].map((e) => [named(signer, { e })]),
	),
	MANY.map((signer) => named(signer)),
	MANY.map((signer) => named(signer, { kid: undefined })),
	MANY.map((signer, index) => named(signer, { kid: index % 2 === 0 ? "k" : undefined, alg: "ES256" })),
];
