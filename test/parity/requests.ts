/** Generated requests, as bytes and as what they say: caller, method, path, and a unit where the Service looks for it. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { UnitSource } from "../../src/resources/resource.js";
import { rawGet } from "../envoy/pipeline.js";
import { AWKWARD_UNITS, mulberry32, randomUnits } from "../envoy/units.js";
import { AUDIENCE, ISSUER, METHODS, PRINCIPALS, pick, type Random, type Subject } from "./declaration.js";

export interface GeneratedRequest {
	readonly subject: Subject;
	readonly who: string;
	readonly method: string;
	readonly path: string;
	/** Values in which the unit may lie: of the header, the claim's text, or whole Cookie headers. */
	readonly values: readonly string[];
	readonly bytes: Buffer;
}

/** Keys of the test's own issuer. */
export interface Issuer {
	readonly jwks: object;
	/** @param claims beside iss, aud and exp */
	token(claims: object): string;
}

export function createIssuer(nowMs: number): Issuer {
	const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
	const jwk = { ...publicKey.export({ format: "jwk" }), kid: "k1", alg: "ES256", use: "sig" };
	const seconds = Math.floor(nowMs / 1_000);
	return {
		jwks: { keys: [jwk] },
		token: (claims) => jwt(privateKey, { iss: ISSUER, aud: AUDIENCE, iat: seconds, exp: seconds + 3_600, ...claims }),
	};
}

function jwt(key: KeyObject, claims: object): string {
	const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
	const signed = `${part({ alg: "ES256", kid: "k1", typ: "JWT" })}.${part(claims)}`;
	return `${signed}.${sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
}

const SEGMENTS = [
	"v2",
	"v20",
	"V2",
	"secret",
	"secrets",
	"admin",
	"health",
	"x",
	"",
	".",
	"..",
	"v2;x",
	"a%20b",
	"m:predict",
	"m%3Apredict",
];

/** A few hundred paths, so that the canonical form of each can be looked up. */
export function generatePaths(seed: number): readonly string[] {
	const random = mulberry32(seed);
	return Array.from(
		{ length: 300 },
		() =>
			`/${Array.from({ length: 1 + Math.floor(random() * 4) }, () => pick(random, SEGMENTS)).join("/")}${pick(random, ["", "", "", "?a=/v2/secret", "/"])}`,
	);
}

export function generateRequests(
	subjects: readonly Subject[],
	{ seed, each, paths, issuer }: { seed: number; each: number; paths: readonly string[]; issuer: Issuer },
): readonly GeneratedRequest[] {
	const random = mulberry32(seed);
	// Long ones are the business of the other suite.
	const awkward = AWKWARD_UNITS.filter(({ values }) => values.every((value) => value.length < 200));
	const units = [...awkward, ...randomUnits(2_000, seed)];
	return subjects.flatMap((subject) =>
		Array.from({ length: each }, () => {
			const { unit, service } = subject;
			const who = pick(random, [PRINCIPALS[0], ...PRINCIPALS]);
			const method = pick(random, METHODS);
			const path = pick(random, paths);
			const chosen = pick(random, units).values.map((value) => value.toString("latin1"));
			const { values, lines } = unitLines(random, unit, chosen, issuer);
			const forged = random() < 0.2 ? ["x-weir-variant: v3", "x-weir-arm: forged/arm", "X-Weir-Claim-sub: forged"] : [];
			const raw = [...lines, ...forged].map((line) => Buffer.from(line, "latin1"));
			return { subject, who, method, path, values, bytes: rawGet(service.spec.hosts[0] ?? "", raw, path, method) };
		}),
	);
}

function unitLines(
	random: Random,
	unit: UnitSource,
	chosen: readonly string[],
	issuer: Issuer,
): { readonly values: readonly string[]; readonly lines: readonly string[] } {
	if (unit.from === "header") return { values: chosen, lines: chosen.map((value) => `${unit.header}: ${value}`) };
	if (unit.from === "claim") {
		const [value] = chosen;
		if (value === undefined) return { values: [], lines: [] };
		const claims = unit.claim === "sub" ? { sub: value } : { org: { tenant_id: value } };
		const token = issuer.token(claims);
		// A token that does not verify gives no claim.
		const broken = random() < 0.1;
		const sent = broken ? `${token.slice(0, -4)}AAAA` : token;
		// A claim is Unicode; its bytes are UTF-8.
		const bytes = Buffer.from(value, "utf8").toString("latin1");
		return { values: broken ? [] : [bytes], lines: [`authorization: Bearer ${sent}`] };
	}
	const others = pick(random, ["", "session=a b; ", "xweir_id=q; ", "weir_idx=1;"]);
	const pairs = chosen.map((value) => `${unit.cookie}=${value}`).join("; ");
	const cookie = `${others}${pairs}${pick(random, ["", "; theme=dark"])}`;
	return cookie === "" ? { values: [], lines: [] } : { values: [cookie], lines: [`cookie: ${cookie}`] };
}
