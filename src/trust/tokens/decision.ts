/**
 * The signed decision (header `x-weir-decision`): a compact JWS (RFC 7515) signed by the sidecar's SVID, with its chain in
 * the JWS header (x5c), valid for one hop and a few seconds. ES256 by node:crypto, because signing must be synchronous.
 */
import {
	createHash,
	createPrivateKey,
	type KeyObject,
	randomBytes,
	sign,
	verify,
	type X509Certificate,
} from "node:crypto";
import type { DecisionFacts, SignDecision } from "../../compile/access/signedDecision.js";
import { WeirError } from "../../error.js";
import { TOKEN_SKEW_SECONDS } from "../../limits/index.js";
import { readCompact } from "./compact.js";
import { Replays } from "./replays.js";
import { bundleCertificates, type Signer, signerOf } from "./signerChain.js";

/** Validity of a signed decision: one hop inside a mesh. */
const DECISION_LIFETIME_MS = 5_000;

/** A signed decision as a header: a chain of three certificates is 3 KiB. */
const DECISION_BYTES_MAX = 16 * 1024;

/** Verified certificate chains of signers that are cached: one per sidecar and rotation. */
const DECISION_SIGNERS_MAX = 256;

const TYPE = "weir-decision+jwt";

export interface SigningIdentity {
	/** PEM, leaf first. */
	readonly certificate: string;
	/** PEM. */
	readonly privateKey: string;
}

interface PreparedKey {
	readonly identity: SigningIdentity;
	readonly key: KeyObject;
	/** Protected header, encoded. */
	readonly header: string;
}

/**
 * @param current the current identity; throws if there is none
 * @returns the port; it returns null without an identity with a P-256 key
 */
export function decisionSigner(current: () => SigningIdentity, nowMs: () => number = Date.now): SignDecision {
	let prepared: PreparedKey | null = null;
	return (facts) => {
		try {
			const identity = current();
			if (prepared === null || prepared.identity !== identity) prepared = prepareKey(identity);
			const payload = encode({ ...claimsOf(facts), ...times(nowMs()), jti: randomBytes(12).toString("base64url") });
			const signed = `${prepared.header}.${payload}`;
			const signature = sign("sha256", Buffer.from(signed), { key: prepared.key, dsaEncoding: "ieee-p1363" });
			return `${signed}.${signature.toString("base64url")}`;
		} catch {
			return null;
		}
	};
}

function prepareKey(identity: SigningIdentity): PreparedKey {
	const key = createPrivateKey(identity.privateKey);
	if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
		throw new WeirError("failed-precondition", "decisions are signed with a P-256 key, and the SVID has another", "");
	}
	const x5c = bundleCertificates(identity.certificate).map(({ raw }) => raw.toString("base64"));
	return { identity, key, header: encode({ alg: "ES256", typ: TYPE, x5c }) };
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** NumericDates with fractions (RFC 7519 2), so that five seconds do not become six. */
const times = (nowMs: number) => ({ iat: nowMs / 1_000, exp: (nowMs + DECISION_LIFETIME_MS) / 1_000 });

const pathHash = (path: string): string => createHash("sha256").update(path, "latin1").digest("base64url");

/** Path and query as a hash: they may be long, and must not appear in a header that is logged. */
const claimsOf = ({ method, path, host, service, variant, principal }: DecisionFacts) => ({
	method,
	path: pathHash(path),
	host,
	service,
	variant,
	principal,
});

export interface DecisionVerifierOptions {
	/** The trusted roots of signers, PEM. If it throws, no signer is trusted. */
	readonly trustBundle: () => string;
	/** Whether the SPIFFE id may sign decisions. */
	readonly admits: (spiffeId: string) => boolean;
	readonly nowMs?: () => number;
	readonly monotonicMs?: () => number;
}

/** The request that the decision must match; optional fields only if the hop knows them. */
export interface DecisionExpected extends Pick<DecisionFacts, "method" | "path"> {
	readonly host?: string;
	readonly service?: string;
	readonly variant?: string;
}

export interface DecisionClaims {
	readonly signer: string;
	readonly service: string;
	readonly variant: string;
	/** The authenticated caller at the Gateway; null = none. */
	readonly principal: string | null;
}

export type DecisionAnswer = DecisionClaims | { readonly refused: string };

/** A decision that is valid for the request and not used yet. */
export interface HeldDecision {
	readonly claims: DecisionClaims;
	/** Marks it as used. @returns null, or the reason if it cannot be used */
	readonly use: () => string | null;
	/** Unmarks it, so that a retry of the request can use it. */
	readonly giveBack: () => void;
}

/** Verifies decisions, e.g. for the predictor. Use one verifier for all requests: it remembers used decisions. */
export class DecisionVerifier {
	readonly #options: Required<DecisionVerifierOptions>;
	/** A decision is valid for its lifetime and the clock skew on both sides. */
	readonly #used = new Replays(DECISION_LIFETIME_MS + 2 * SKEW_MS);
	/** By encoded JWS header, which holds the chain. */
	#signers = new Map<string, Signer>();
	#bundle = "";
	#roots: readonly X509Certificate[] = [];

	constructor(options: DecisionVerifierOptions) {
		this.#options = { nowMs: Date.now, monotonicMs: () => performance.now(), ...options };
	}

	/** Verifies the decision and marks it as used. Never throws. */
	verify(values: readonly string[], expected: DecisionExpected): DecisionAnswer {
		const held = this.examine(values, expected);
		if ("refused" in held) return held;
		const why = held.use();
		return why === null ? held.claims : refused(why);
	}

	/**
	 * Verifies the decision without using it, so that an overloaded hop can leave it to the retry. Never throws.
	 * @param values one entry for each x-weir-decision header
	 */
	examine(values: readonly string[], expected: DecisionExpected): HeldDecision | { readonly refused: string } {
		const [text = ""] = values;
		if (values.length !== 1) return refused("there must be exactly one decision");
		const read = readCompact(text, DECISION_BYTES_MAX);
		if (read === null) return refused("it is no signed decision");
		const { header, payload } = read;
		if (header.alg !== "ES256" || header.typ !== TYPE || Object.hasOwn(header, "crit"))
			return refused("its header is invalid");
		const fault = factsFault(payload, expected) ?? timeFault(payload, this.#options.nowMs());
		if (fault !== null) return refused(fault);
		const signer = this.#signer(text.slice(0, text.indexOf(".")), header.x5c);
		if (typeof signer === "string") return refused(signer);
		if (!signatureHolds(text, signer.publicKey)) return refused("its signature does not hold");
		const { service, variant, principal } = payload as { service: string; variant: string; principal: string | null };
		const owner = signer.spiffeId;
		const id = `${owner} ${String(payload.jti)}`;
		return {
			claims: { signer: owner, service, variant, principal },
			use: () => {
				// The decision may have expired since examine().
				const late = timeFault(payload, this.#options.nowMs());
				if (late !== null) return late;
				const taken = this.#used.take(id, this.#options.monotonicMs());
				return taken === "first" ? null : taken === "again" ? "it was used before" : "too many are remembered";
			},
			giveBack: () => this.#used.giveBack(id),
		};
	}

	#signer(encodedHeader: string, x5c: unknown): Signer | string {
		const { trustBundle, admits, nowMs } = this.#options;
		try {
			const bundle = trustBundle();
			if (bundle !== this.#bundle) {
				this.#roots = bundleCertificates(bundle);
				this.#signers = new Map();
				this.#bundle = bundle;
			}
		} catch {
			return "there is no trust bundle";
		}
		let signer = this.#signers.get(encodedHeader);
		if (signer === undefined) {
			if (!Array.isArray(x5c) || !x5c.every((one) => typeof one === "string")) return "it has no chain";
			const found = signerOf(
				x5c.map((one) => Buffer.from(one, "base64")),
				this.#roots,
			);
			if (typeof found === "string") return found;
			signer = found;
			// Only verified chains are cached, so an unauthenticated client cannot evict them.
			if (this.#signers.size >= DECISION_SIGNERS_MAX) this.#signers.clear();
			this.#signers.set(encodedHeader, signer);
		}
		const now = nowMs();
		if (now < signer.fromMs || now > signer.untilMs) return "its signer's certificate is not of now";
		return admits(signer.spiffeId) ? signer : "its signer may not decide";
	}
}

/** Within one cluster the clock skew is far less than for identity providers. */
const SKEW_MS = Math.min(DECISION_LIFETIME_MS, TOKEN_SKEW_SECONDS * 1_000);

const refused = (why: string) => ({ refused: why });

function factsFault(payload: Readonly<Record<string, unknown>>, expected: DecisionExpected): string | null {
	if (payload.method !== expected.method) return "it is for another method";
	if (payload.path !== pathHash(expected.path)) return "it is for another path";
	if (expected.host !== undefined && payload.host !== expected.host) return "it is for another host";
	const { service, variant, principal, jti } = payload;
	if (typeof service !== "string" || typeof variant !== "string") return "it names no service and variant";
	if (expected.service !== undefined && service !== expected.service) return "it is for another service";
	if (expected.variant !== undefined && variant !== expected.variant) return "it is for another variant";
	if (principal !== null && typeof principal !== "string") return "its principal is no id";
	return typeof jti === "string" && jti !== "" ? null : "it has no jti";
}

function timeFault({ iat, exp }: Readonly<Record<string, unknown>>, nowMs: number): string | null {
	if (typeof iat !== "number" || typeof exp !== "number") return "it has no times";
	if (exp - iat > DECISION_LIFETIME_MS / 1_000 + 0.001) return "it lives too long";
	if (nowMs > exp * 1_000 + SKEW_MS) return "it has expired";
	return iat * 1_000 > nowMs + SKEW_MS ? "it is of the future" : null;
}

function signatureHolds(text: string, key: KeyObject): boolean {
	const at = text.lastIndexOf(".");
	const signature = Buffer.from(text.slice(at + 1), "base64url");
	return verify("sha256", Buffer.from(text.slice(0, at)), { key, dsaEncoding: "ieee-p1363" }, signature);
}
