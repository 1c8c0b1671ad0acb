/**
 * Implements VerifyToken with `jose`: synchronous for a cached token, else a promise. Rules stricter than jose's are checked
 * first (claims.ts, access/users/tokenClaims.ts, strictJson.ts, compact.ts). Every failure denies.
 */
import { jwtVerify } from "jose";
import { kept, type TokenAnswer, type TokenQuestion, type VerifyToken } from "../../compile/access/users/token.js";
import { bindingFault, confirmationOf, verifiedToken } from "../../compile/access/users/tokenClaims.js";
import type { KeySource, TokenIssuer } from "../../declare/resources/resource.js";
import { KEYS_FILE_MS, KEYS_URL_MS, PROOF_KEPT_MS, TOKEN_BYTES_MAX, TOKEN_SKEW_SECONDS } from "../../limits/index.js";
import { Admission } from "./admission.js";
import { claimsFault, headerFault } from "./claims.js";
import { type CompactToken, readCompact, type ShownToken, shownToken } from "./compact.js";
import { type ProofFault, proofFault, readProof } from "./dpop.js";
import { keyLoad } from "./keyLoad.js";
import type { KeysOptions } from "./keySetCache.js";
import { Keys, type KeysTrouble, type VerificationKey } from "./keys.js";
import { type ProofMemory, Replays } from "./replays.js";
import { type CachedToken, type Issuer, isStillValid, TokenCache, tokenHash } from "./tokenCache.js";

/** Tokens that wait for an issuer's keys to be fetched. */
export const TOKENS_KEYS_WAITING_MAX = 512;

export interface GatewayIssuers {
	readonly name: string;
	readonly issuers: readonly TokenIssuer[];
}

export interface VerifierOptions {
	/** Wall clock, for claims. */
	readonly nowMs?: () => number;
	/** For ages and rates. */
	readonly monotonicMs?: () => number;
	/** Loads a key set; keyLoad() by default. */
	readonly load?: (source: KeySource) => () => Promise<Uint8Array>;
	readonly times?: KeysOptions["times"];
	readonly admission?: Admission;
	/** Replay memory of proofs; by default one of this process with REPLAYS_MAX entries. */
	readonly proofs?: ProofMemory;
	/** Called when the state of a file's or URL's keys changes; null = they are valid again. */
	readonly keysTroubled?: (source: string, trouble: KeysTrouble | null) => void;
}

/** The caller with a token that is not cached. */
interface Presenter extends Pick<TokenQuestion, "payer"> {
	/** Whether unknown keys may be fetched. */
	readonly mayLook: boolean;
}

interface Candidate {
	readonly issuer: Issuer;
	readonly key: VerificationKey;
}

type Refused = Extract<TokenAnswer, { readonly refused: unknown }>;

const BEARER = "Bearer ";

const NO_ISSUERS: ReadonlySet<Issuer> = new Set();

const invalid = (why: string): Refused => ({ refused: "invalid-token", why });
const invalidProof = (why: string): Refused => ({ ...invalid(why), proof: true });
const limited = (why: string): Refused => ({ refused: "verification-limited", why });

const REFUSALS: Readonly<Record<ProofFault["what"], (why: string) => Refused>> = {
	proof: invalidProof,
	token: invalid,
	room: limited,
};

const NO_KEY = "no key of the issuer has signed it";
const KEYLESS: Refused = { ...invalid("there is no key of the issuer"), keyless: true };
const UNVERIFIED = invalid("it could not be verified");
const MALFORMED = invalid("the Authorization header does not hold exactly one token");
const WAITING = limited("too many wait for their issuer's keys");

export class TokenVerifier {
	readonly #options: Required<Pick<VerifierOptions, "nowMs" | "monotonicMs" | "load" | "keysTroubled">> &
		VerifierOptions;
	readonly #cache = new TokenCache();
	readonly #admission: Admission;
	/** Number of tokens that wait for keys. */
	#waiting = 0;
	readonly #proofs: ProofMemory;
	/** By declaration, so that an unchanged one keeps its keys and cached tokens. */
	#issuers = new Map<string, Issuer>();
	#byGateway = new Map<string, ReadonlySet<Issuer>>();
	#all: ReadonlySet<Issuer> = new Set();
	/** By hash, Gateway and declarations: concurrent requests with one token share one verification. */
	readonly #verifying = new Map<string, Promise<CachedToken | Refused>>();
	/** Version of the declarations: a later request must not get the result of an earlier version. */
	#declared = 0;

	constructor(options: VerifierOptions = {}) {
		this.#options = {
			nowMs: Date.now,
			monotonicMs: () => performance.now(),
			load: keyLoad,
			keysTroubled: () => {},
			...options,
		};
		this.#admission = options.admission ?? new Admission();
		this.#proofs = options.proofs ?? new Replays(PROOF_KEPT_MS);
	}

	/** Replaces the declared issuers. Tokens of removed issuers are invalid at once, also cached ones. */
	use(gateways: readonly GatewayIssuers[]): void {
		const issuers = new Map<string, Issuer>();
		const keys = new Map([...this.#issuers.values()].map((issuer) => [sourceName(issuer.declared), issuer.keys]));
		const made = (declared: TokenIssuer): Issuer => {
			const name = JSON.stringify(declared);
			const issuer = issuers.get(name) ??
				this.#issuers.get(name) ?? { declared, keys: keys.get(sourceName(declared)) ?? this.#keysOf(declared) };
			keys.set(sourceName(declared), issuer.keys);
			issuers.set(name, issuer);
			return issuer;
		};
		this.#byGateway = new Map(gateways.map(({ name, issuers: list }) => [name, new Set(list.map(made))]));
		this.#declared++;
		this.#issuers = issuers;
		this.#all = new Set(issuers.values());
		// Prefetched for the first token.
		this.lookAtKeys();
	}

	/** Refreshes old key sets. Call it every KEYS_REFRESH_MS, because there may be no requests for hours. */
	lookAtKeys(): void {
		for (const issuer of this.#all) issuer.keys.look();
	}

	/** Reads the question before it returns, not later. */
	readonly verify: VerifyToken = (question) => {
		const { authorization } = question;
		const issuers = this.#issuersAt(question.gateway);
		// Fast path: a cached token had the strict form when it was verified.
		const [only = ""] = authorization;
		if (authorization.length === 1 && only.startsWith(BEARER) && only.length <= BEARER.length + TOKEN_BYTES_MAX) {
			const held = this.#known(tokenHash(only.slice(BEARER.length)), issuers);
			if (held !== null && held.confirmation === null && held.issuer.declared.binding === "none") return held.answer;
		}
		const shown = shownToken(authorization);
		if (shown === null) return null;
		if (shown === "malformed") return MALFORMED;
		const hash = tokenHash(shown.token);
		const held = this.#known(hash, issuers);
		return held === null ? this.#unknown(shown, hash, issuers, question) : this.#bound(held, shown, kept(question));
	};

	#known(hash: string, issuers: ReadonlySet<Issuer>): CachedToken | null {
		for (const held of this.#cache.get(hash)) {
			if (issuers.has(held.issuer) && isStillValid(held, this.#nowSeconds())) return held;
		}
		return null;
	}

	/** null = an Envoy that Weir did not configure. A Gateway that is not in the table has no issuers. */
	#issuersAt(gateway: string | null): ReadonlySet<Issuer> {
		return gateway === null ? this.#all : (this.#byGateway.get(gateway) ?? NO_ISSUERS);
	}

	/** Whole seconds as in Envoy, so that both accept a token until the same second. */
	#nowSeconds(): number {
		return Math.floor(this.#options.nowMs() / 1_000);
	}

	#keysOf({ keys }: TokenIssuer): Keys {
		const { load, monotonicMs, keysTroubled, times } = this.#options;
		let loading: () => Promise<Uint8Array>;
		try {
			loading = load(keys);
		} catch (error) {
			loading = () => Promise.reject(error);
		}
		return new Keys({
			load: loading,
			times: times ?? (keys.from === "file" ? KEYS_FILE_MS : KEYS_URL_MS),
			monotonicMs,
			troubled: (trouble) => keysTroubled(keys.from === "url" ? keys.url : keys.file, trouble),
		});
	}

	/** Cheap checks first, cryptography last. */
	#unknown(
		shown: ShownToken,
		hash: string,
		issuers: ReadonlySet<Issuer>,
		question: TokenQuestion,
	): TokenAnswer | Promise<TokenAnswer> {
		const read = readCompact(shown.token);
		if (read === null) return invalid("it is no signed token");
		const judged = this.#matching(read, shown, issuers);
		if (!Array.isArray(judged)) return judged as Refused;
		const saved = kept(question);
		const matching = judged as readonly Issuer[];
		// An unauthenticated client must not use up the rate of key fetches.
		const mayLook = matching.every(({ keys }) => knownKeys(keys, read).length > 0) || !saved.neverAllowed();
		const key = `${hash} ${this.#declared} ${question.gateway ?? ""} ${mayLook}`;
		const running = this.#verifying.get(key);
		const verified = running ?? this.#verified(shown.token, hash, read, matching, { ...saved, mayLook });
		if (running === undefined) {
			this.#verifying.set(key, verified);
			void verified.finally(() => this.#verifying.delete(key));
		}
		return verified
			.then((found) => ("refused" in found ? found : this.#bound(found, shown, saved)))
			.catch(() => UNVERIFIED);
	}

	/** The issuers whose declarations match the token's claims, or the refusal. */
	#matching(
		{ header, payload }: CompactToken,
		shown: ShownToken,
		issuers: ReadonlySet<Issuer>,
	): readonly Issuer[] | Refused {
		const fault = headerFault(header);
		if (fault !== null) return invalid(fault);
		const named = [...issuers].filter(({ declared }) => declared.issuer === payload.iss);
		let why = "its issuer is not trusted";
		const confirmation = confirmationOf(payload);
		if (confirmation === "unknown") return invalid("it is bound in a way that is not known");
		const matching = named.filter(({ declared }) => {
			const own =
				claimsFault(declared, header, payload, this.#nowSeconds()) ?? schemeFault(declared, confirmation, shown.scheme);
			if (own !== null) why = own;
			return own === null;
		});
		return matching.length > 0 ? matching : invalid(why);
	}

	async #verified(
		token: string,
		hash: string,
		read: CompactToken,
		issuers: readonly Issuer[],
		presenter: Presenter,
	): Promise<CachedToken | Refused> {
		const { payer, mayLook } = presenter;
		const candidates = await this.#candidates(read, issuers, mayLook);
		if (!Array.isArray(candidates)) return candidates as Refused;
		if (candidates.length === 0) return mayLook && issuers.some(({ keys }) => keys.none) ? KEYLESS : invalid(NO_KEY);
		const { monotonicMs } = this.#options;
		const pass = this.#admission.enter("token", payer, userOf(read.payload), monotonicMs());
		if (typeof pass === "string") return limited(pass);
		let found: CachedToken | Refused = UNVERIFIED;
		try {
			found = await this.#signedBy(candidates as readonly Candidate[], token, read);
		} finally {
			this.#admission.leave(pass, !("refused" in found), monotonicMs());
		}
		if (!("refused" in found)) this.#cache.put(hash, found, (issuer) => this.#all.has(issuer));
		return found;
	}

	/** The keys that may have signed the token. Waits only for a fetch of an unknown key. */
	async #candidates(
		token: CompactToken,
		issuers: readonly Issuer[],
		mayLook: boolean,
	): Promise<readonly Candidate[] | Refused> {
		const found: Candidate[] = [];
		for (const issuer of issuers) {
			let keys = knownKeys(issuer.keys, token);
			if (keys.length === 0 && mayLook) {
				const { kid, alg } = namedKey(token);
				if (this.#waiting >= TOKENS_KEYS_WAITING_MAX) return WAITING;
				this.#waiting++;
				keys = await issuer.keys.find(kid, alg).finally(() => this.#waiting--);
			}
			found.push(...keys.map((key) => ({ issuer, key })));
		}
		return found;
	}

	async #signedBy(
		candidates: readonly Candidate[],
		token: string,
		{ header, payload }: CompactToken,
	): Promise<CachedToken | Refused> {
		let why = NO_KEY;
		for (const { issuer, key } of candidates) {
			const fault = await this.#signatureFault(token, header.alg as string, issuer.declared, key);
			if (fault !== null) {
				why = fault;
				continue;
			}
			const confirmation = confirmationOf(payload);
			if (confirmation === "unknown") return invalid("it is bound in a way that is not known");
			return {
				issuer,
				key,
				exp: payload.exp as number,
				bytes: token.length,
				confirmation,
				user: userOf(payload),
				answer: { token: verifiedToken(issuer.declared, payload) },
			};
		}
		return invalid(why);
	}

	/** jose checks the claims a second time. */
	async #signatureFault(
		token: string,
		alg: string,
		{ issuer, audiences, profile }: TokenIssuer,
		key: VerificationKey,
	): Promise<string | null> {
		try {
			await jwtVerify(token, await key.imported(alg), {
				algorithms: [alg],
				issuer,
				requiredClaims: ["exp", "iat"],
				clockTolerance: TOKEN_SKEW_SECONDS + 1,
				currentDate: new Date(this.#options.nowMs()),
				...(audiences.length === 0 ? {} : { audience: [...audiences] }),
				...(profile === "at+jwt" ? { typ: "at+jwt" } : {}),
			});
			return null;
		} catch (error) {
			// The code, because jose's messages may contain claims.
			const { code } = error as { code?: unknown };
			return typeof code === "string" ? code : "it could not be verified";
		}
	}

	/** The answer for a valid token, after the check that the caller holds its key or certificate. */
	#bound(
		held: CachedToken,
		shown: ShownToken,
		{ dpop, method, url, certificateThumbprint, payer }: TokenQuestion,
	): TokenAnswer | Promise<TokenAnswer> {
		const { confirmation, issuer, answer } = held;
		const fault = schemeFault(issuer.declared, confirmation, shown.scheme);
		if (fault !== null) return invalid(fault);
		if (confirmation === null) return answer;
		if (confirmation.certificate !== null && confirmation.certificate !== certificateThumbprint) {
			return invalid("it is bound to another certificate");
		}
		if (confirmation.jkt === null) return answer;
		const monotonicMs = this.#options.monotonicMs();
		const { jkt } = confirmation;
		const nowSeconds = this.#options.nowMs() / 1_000;
		const question = { dpop, method, url, token: shown.token, jkt, nowSeconds, monotonicMs };
		const proof = readProof(question);
		if (typeof proof === "string") return invalidProof(proof);
		const pass = this.#admission.enter("proof", payer, held.user, monotonicMs);
		if (typeof pass === "string") return limited(pass);
		return proofFault(proof, question, this.#proofs).then((failed) => {
			this.#admission.leave(pass, failed === null || failed.what === "room", this.#options.monotonicMs());
			return failed === null ? answer : REFUSALS[failed.what](failed.why);
		});
	}
}

/** headerFault() has checked both. */
const namedKey = ({ header }: CompactToken) => header as { readonly kid: string; readonly alg: string };

function knownKeys(keys: Keys, token: CompactToken): readonly VerificationKey[] {
	const { kid, alg } = namedKey(token);
	return keys.known(kid, alg);
}

/** The user that the token names, as a hash. */
const userOf = ({ iss, sub }: CompactToken["payload"]): string =>
	tokenHash(JSON.stringify([iss, typeof sub === "string" ? sub : null]));

/** Why the token's binding or scheme does not match the issuer's declaration; null = it does. */
function schemeFault(
	issuer: TokenIssuer,
	confirmation: CachedToken["confirmation"],
	scheme: ShownToken["scheme"],
): string | null {
	const fault = bindingFault(issuer, confirmation);
	if (fault !== null) return fault;
	const isKeyBound = confirmation !== null && confirmation.jkt !== null;
	if (isKeyBound && scheme !== "DPoP") return "it is bound to a key, and not shown with the scheme DPoP";
	return !isKeyBound && scheme === "DPoP" ? "the scheme is DPoP, and it is not bound to a key" : null;
}

const sourceName = ({ keys }: TokenIssuer): string => JSON.stringify(keys);
