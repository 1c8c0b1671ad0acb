/** Generated requests, as bytes and decoded: caller, method, path, and a unit where the Service reads it. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { UnitSource } from "../../src/declare/resources/resource.js";
import { rawGet } from "../envoy/pipeline.js";
import { AWKWARD_UNITS, mulberry32, randomUnits } from "../envoy/units.js";
import {
	ANONYMOUS,
	AUDIENCE,
	type Generated,
	ISSUER,
	METHODS,
	PLAIN_GATEWAY,
	PREFIXES,
	PRINCIPALS,
	pick,
	type Random,
	type Subject,
	TLS_GATEWAY,
} from "./declaration.js";
import { judge } from "./judge.js";

export interface GeneratedRequest {
	readonly subject: Subject;
	/** One of PRINCIPALS, or ANONYMOUS. */
	readonly who: string;
	/** Name of the Gateway that it comes by. */
	readonly gateway: string;
	readonly host: string;
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

/** @param privateKey PKCS #8 PEM, so that several processes can speak for one issuer; a new one by default */
export function createIssuer(nowMs: number, privateKey: string = newPrivateKey()): Issuer {
	const key = createPrivateKey(privateKey);
	const jwk = { ...createPublicKey(key).export({ format: "jwk" }), kid: "k1", alg: "ES256", use: "sig" };
	const seconds = Math.floor(nowMs / 1_000);
	return {
		jwks: { keys: [jwk] },
		token: (claims) => jwt(key, { iss: ISSUER, aud: AUDIENCE, iat: seconds, exp: seconds + 14_400, ...claims }),
	};
}

/** PKCS #8 PEM of a P-256 key. */
export function newPrivateKey(): string {
	const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
	return privateKey.export({ format: "pem", type: "pkcs8" }).toString();
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
	"%76%32",
	"%2e%2E",
	"a\\b",
	"v2!",
];
/** Envoy answers 400 and closes the connection, so they are few. */
const REFUSED = ["a%2Fb", "a%5cb", "x%00"];

/** Ends of a path that servers may read in different ways: NUL, and escapes of what a prefix may hold. */
const AMBIGUOUS_ENDS = ["%00", ";x", ...[..."!$&'()*+,:;=@"].map((char) => `%${char.charCodeAt(0).toString(16)}`)];
/** Envoy makes `a` of `%61` and so on; an Envoy that is not ours may not. */
const UNNORMALISED_ENDS = [
	"%2d",
	"%2E",
	"%30",
	"%39",
	"%41",
	"%4f",
	"%5a",
	"%5f",
	"%61",
	"%6f",
	"%70",
	"%7A",
	"%7e",
	"/..",
	"/.",
	"/./b",
];
/** Envoy answers 400 to these; the pure function is asked all the same. */
const REFUSED_ENDS = ["%2f", "%5C", "#x"];
/** Slashes alone are not merged by Envoy. */
const SLASHES = ["//", "///"];
const ENDS = [...AMBIGUOUS_ENDS, ...UNNORMALISED_ENDS, ...REFUSED_ENDS];
const QUERY = "?q=/../;%00//";
const AMBIGUOUS_PATHS = [
	...SLASHES,
	...PREFIXES.flatMap((prefix) => [`${prefix}${QUERY}`, ...ENDS.map((end) => below(prefix, end))]),
];

function below(prefix: string, end: string): string {
	return `${prefix === "/" ? "" : prefix}/a${end}`;
}

/** So few that the canonical form of each can be looked up. */
export function generatePaths(seed: number, length = 300): readonly string[] {
	const random = mulberry32(seed);
	const made = Array.from(
		{ length },
		() =>
			`/${Array.from({ length: 1 + Math.floor(random() * 4) }, () => pick(random, SEGMENTS)).join("/")}${pick(random, ["", "", "", "?a=/v2/secret", "/"])}${random() < 0.02 ? `/${pick(random, REFUSED)}` : ""}`,
	);
	return [...PREFIXES, ...AMBIGUOUS_PATHS, ...made];
}

export interface RequestOptions {
	readonly seed: number;
	/** Random requests for each Service. */
	readonly each: number;
	readonly paths: readonly string[];
	readonly issuer: Issuer;
	readonly spiffe: (who: string) => string;
	/** Units on the edges of each Service's Experiments (edges.ts), one more request each. */
	readonly edges?: readonly (readonly string[])[];
}

export function generateRequests(generated: Generated, options: RequestOptions): readonly GeneratedRequest[] {
	const { seed, each, paths, issuer, edges = [] } = options;
	const random = mulberry32(seed);
	// Long ones are the business of the other suite.
	const awkward = AWKWARD_UNITS.filter(({ values }) => values.every((value) => value.length < 200));
	const units = [...awkward, ...randomUnits(2_000, seed)];
	return generated.subjects.flatMap((subject, index) => [
		...Array.from({ length: each }, () => {
			const who = pick(random, [PRINCIPALS[0], ...PRINCIPALS, ANONYMOUS]);
			const chosen = pick(random, units).values.map((value) => value.toString("latin1"));
			const { values, lines } = unitLines(random, subject.unit, chosen, issuer);
			const forged = random() < 0.2 ? ["x-weir-variant: v3", "x-weir-arm: forged/arm", "X-Weir-Claim-sub: forged"] : [];
			return requestOf({ subject, who, method: pick(random, METHODS), path: pick(random, paths), values }, [
				...lines,
				...forged,
			]);
		}),
		...ambiguous(generated, subject, options.spiffe),
		...exact(generated, subject, options.spiffe),
		...(index < 4 ? awkward : []).flatMap(({ values: chosen }) => {
			const texts = chosen.map((value) => value.toString("latin1"));
			const { values, lines } = unitLines(random, subject.unit, texts, issuer);
			const found = passing(generated, { subject, values }, options.spiffe);
			return found === null ? [] : [requestOf({ ...found, subject, values }, lines)];
		}),
		...(edges[index] ?? []).flatMap((unit) => {
			const { values, lines } = unitLines(() => 0.5, subject.unit, [unit], issuer);
			const found = passing(generated, { subject, values }, options.spiffe);
			return found === null ? [] : [requestOf({ ...found, subject, values }, lines)];
		}),
	]);
}

/** A few Services whose policies judge paths. */
const judging = ({ subjects }: Generated): readonly Subject[] =>
	subjects.filter(({ policies }) => policies.some(({ spec }) => spec.pathPrefixes.length > 0)).slice(0, 4);

/** Requests for each prefix, by every principal of its policy. */
function exact(generated: Generated, subject: Subject, spiffe: (who: string) => string): readonly GeneratedRequest[] {
	if (!judging(generated).includes(subject)) return [];
	return subject.policies.flatMap(({ spec: { principals, methods, pathPrefixes } }) =>
		PRINCIPALS.filter((who) => principals.includes(spiffe(who))).flatMap((who) =>
			pathPrefixes.map((path) => requestOf({ subject, who, method: methods[0] ?? "GET", path, values: [] }, [])),
		),
	);
}

/** Paths that only their ambiguity keeps out. */
function ambiguous(
	generated: Generated,
	subject: Subject,
	spiffe: (who: string) => string,
): readonly GeneratedRequest[] {
	const found = judging(generated).includes(subject) ? passing(generated, { subject, values: [] }, spiffe) : null;
	if (found === null) return [];
	const queries = PREFIXES.map((prefix) => `${prefix}${QUERY}`);
	const paths = [...SLASHES, ...queries, ...ENDS.map((end) => below(found.path, end))];
	return paths.map((path) => requestOf({ ...found, path, subject, values: [] }, []));
}

type Parts = Pick<GeneratedRequest, "subject" | "who" | "method" | "path" | "values">;

/** @param lines of the head, as latin1 */
export function requestOf(parts: Parts, lines: readonly string[]): GeneratedRequest {
	const [first = ""] = parts.subject.service.spec.hosts;
	const host = first.startsWith("*.") ? `a.b.${first.slice(2)}` : first;
	const raw = lines.map((line) => Buffer.from(line, "latin1"));
	const gateway = parts.who === ANONYMOUS ? PLAIN_GATEWAY : TLS_GATEWAY;
	return { ...parts, gateway, host, bytes: rawGet(host, raw, parts.path, parts.method) };
}

/** Who, how and where the unit passes, so that its arm is seen; null where no policy lets it. */
function passing(
	generated: Generated,
	unit: Pick<Parts, "subject" | "values">,
	spiffe: (who: string) => string,
): Omit<Parts, "subject" | "values"> | null {
	for (const who of PRINCIPALS) {
		for (const method of new Set(METHODS)) {
			for (const path of PREFIXES) {
				const parts = { who, method, path };
				const request = { ...parts, ...unit, gateway: TLS_GATEWAY, host: "", bytes: Buffer.alloc(0) };
				if (judge(generated, request, path, null, spiffe).verdict === "allow") return parts;
			}
		}
	}
	return null;
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
