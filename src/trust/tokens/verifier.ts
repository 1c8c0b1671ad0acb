/**
 * The port VerifyToken on `jose`: at once for a token that is known, in one promise for one that is not. What jose
 * leaves open is closed before it is asked (claims.ts, access/users/tokenClaims.ts, strictJson.ts, compact.ts); what fails, denies.
 */
import { jwtVerify } from "jose";
import { kept, type TokenAnswer, type TokenQuestion, type VerifyToken } from "../../compile/access/users/token.js";
import { bindingFault, confirmationOf, verifiedToken } from "../../compile/access/users/tokenClaims.js";
import type { KeySource, TokenIssuer } from "../../declare/resources/resource.js";
import {
	KEYS_FILE_MS,
	KEYS_URL_MS,
	PROOF_KEPT_MS,
	TOKEN_BYTES_MAX,
	TOKEN_SKEW_SECONDS,
	TOKENS_KEYS_WAITING_MAX,
} from "../../limits/index.js";
import { Admission } from "./admission.js";
import { claimsFault, headerFault } from "./claims.js";
import { type CompactToken, readCompact, type ShownToken, shownToken } from "./compact.js";
import { type ProofFault, proofFault, readProof } from "./dpop.js";
import type { KeysOptions } from "./keyLife.js";
import { keyLoad } from "./keyLoad.js";
import { Keys, type KeysTrouble, type VerificationKey } from "./keys.js";
import { type ProofMemory, Replays } from "./replays.js";
import { type HeldToken, holds, type Issuer, TokenCache, tokenHash } from "./tokenCache.js";

/** As the plan's table has them. */
export interface GatewayIssuers {
	readonly name: string;
	readonly issuers: readonly TokenIssuer[];
}

export interface VerifierOptions {
	/** Wall clock, for what tokens say. */
	readonly nowMs?: () => number;
	/** For ages, which no change of the wall clock may hide. */
	readonly monotonicMs?: () => number;
	/** How a key set is had; keyLoad() unless a test says otherwise. */
	readonly load?: (source: KeySource) => () => Promise<Uint8Array>;
	readonly times?: KeysOptions["times"];
	readonly admission?: Admission;
	/** What remembers proofs; without it one of its own that holds REPLAYS_MAX. */
	readonly proofs?: ProofMemory;
	/** Told what is wrong with the keys of a file or a URL, when that changes; null = they are good again. */
	readonly keysTroubled?: (source: string, trouble: KeysTrouble | null) => void;
}

/** Who shows a token that is not known. */
interface Shower extends Pick<TokenQuestion, "payer"> {
	/** Whether keys are looked for that are not known. */
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
const MALFORMED = invalid("the Authorization header speaks of a token and is not exactly one");
const WAITING = limited("too many wait for their issuer's keys");

export class TokenVerifier {
	readonly #options: Required<Pick<VerifierOptions, "nowMs" | "monotonicMs" | "load" | "keysTroubled">> &
		VerifierOptions;
	readonly #cache = new TokenCache();
	readonly #admission: Admission;
	/** Tokens that wait for keys. */
	#waiting = 0;
	readonly #proofs: ProofMemory;
	/** By declaration, so that an unchanged one keeps its keys and what they have verified. */
	#issuers = new Map<string, Issuer>();
	#byGateway = new Map<string, ReadonlySet<Issuer>>();
	#all: ReadonlySet<Issuer> = new Set();
	/** By hash, Gateway and declarations: a token that many show at once is verified once. */
	readonly #verifying = new Map<string, Promise<HeldToken | Refused>>();
	/** How often others were declared: who asks after that is told of no issuer of before. */
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

	/** Whom to believe from now on. An issuer that is gone is not believed, cached or not; a declaration that cannot be used is nobody's. */
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
		// The first token shall not wait for the keys.
		this.lookAtKeys();
	}

	/** Looks at the key sets that are not fresh any more; to be called every KEYS_LOOK_MS, for nobody may ask for hours. */
	lookAtKeys(): void {
		for (const issuer of this.#all) issuer.keys.look();
	}

	/** A question is read before this returns; nothing of it is looked at later. */
	readonly verify: VerifyToken = (question) => {
		const { authorization } = question;
		const issuers = this.#issuersAt(question.gateway);
		// What is known was in the strict form when it was verified: the hash of all of it is enough.
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

	#known(hash: string, issuers: ReadonlySet<Issuer>): HeldToken | null {
		for (const held of this.#cache.get(hash)) {
			if (issuers.has(held.issuer) && holds(held, this.#nowSeconds())) return held;
		}
		return null;
	}

	/** Only an Envoy that is not ours names no Gateway; one that the newest table has no more believes nobody. */
	#issuersAt(gateway: string | null): ReadonlySet<Issuer> {
		return gateway === null ? this.#all : (this.#byGateway.get(gateway) ?? NO_ISSUERS);
	}

	/** Whole ones, as Envoy counts them: both believe a token until the same second. */
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

	/** What costs little is looked at first, whether there is such a key too; then comes cryptography. */
	#unknown(
		shown: ShownToken,
		hash: string,
		issuers: ReadonlySet<Issuer>,
		question: TokenQuestion,
	): TokenAnswer | Promise<TokenAnswer> {
		const read = readCompact(shown.token);
		if (read === null) return invalid("it is no signed token");
		const judged = this.#believable(read, shown, issuers);
		if (!Array.isArray(judged)) return judged as Refused;
		const told = kept(question);
		const fitting = judged as readonly Issuer[];
		// What strangers show shall not take the next look from who needs it.
		const mayLook = fitting.every(({ keys }) => knownKeys(keys, read).length > 0) || !told.stranger();
		const key = `${hash} ${this.#declared} ${question.gateway ?? ""} ${mayLook}`;
		const running = this.#verifying.get(key);
		const verified = running ?? this.#verified(shown.token, hash, read, fitting, { ...told, mayLook });
		if (running === undefined) {
			this.#verifying.set(key, verified);
			void verified.finally(() => this.#verifying.delete(key));
		}
		return verified
			.then((found) => ("refused" in found ? found : this.#bound(found, shown, told)))
			.catch(() => UNVERIFIED);
	}

	/** The issuers whose declarations the token's words fit; none: why it fits no one. */
	#believable(
		{ header, payload }: CompactToken,
		shown: ShownToken,
		issuers: ReadonlySet<Issuer>,
	): readonly Issuer[] | Refused {
		const fault = headerFault(header);
		if (fault !== null) return invalid(fault);
		const named = [...issuers].filter(({ declared }) => declared.issuer === payload.iss);
		let why = "nobody here believes its issuer";
		const confirmation = confirmationOf(payload);
		if (confirmation === "unknown") return invalid("it is bound in a way that is not known");
		const fitting = named.filter(({ declared }) => {
			const own =
				claimsFault(declared, header, payload, this.#nowSeconds()) ?? schemeFault(declared, confirmation, shown.scheme);
			if (own !== null) why = own;
			return own === null;
		});
		return fitting.length > 0 ? fitting : invalid(why);
	}

	async #verified(
		token: string,
		hash: string,
		read: CompactToken,
		issuers: readonly Issuer[],
		shower: Shower,
	): Promise<HeldToken | Refused> {
		const { payer, mayLook } = shower;
		const candidates = await this.#candidates(read, issuers, mayLook);
		if (!Array.isArray(candidates)) return candidates as Refused;
		if (candidates.length === 0) return mayLook && issuers.some(({ keys }) => keys.none) ? KEYLESS : invalid(NO_KEY);
		const { monotonicMs } = this.#options;
		const pass = this.#admission.enter("token", payer, userOf(read.payload), monotonicMs());
		if (typeof pass === "string") return limited(pass);
		let found: HeldToken | Refused = UNVERIFIED;
		try {
			found = await this.#signedBy(candidates as readonly Candidate[], token, read);
		} finally {
			this.#admission.leave(pass, !("refused" in found), monotonicMs());
		}
		if (!("refused" in found)) this.#cache.put(hash, found, (issuer) => this.#all.has(issuer));
		return found;
	}

	/** The keys that may have signed it. Only while one is not known is anything waited for. */
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
	): Promise<HeldToken | Refused> {
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

	/** The second lock on the same door: jose checks again what claims.ts has. */
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
			// jose's codes are of a fixed list, its messages may hold claims.
			const { code } = error as { code?: unknown };
			return typeof code === "string" ? code : "it could not be verified";
		}
	}

	/** The answer for a token that holds, once it is proved that who shows it may. */
	#bound(
		held: HeldToken,
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

/** headerFault() has looked at both. */
const namedKey = ({ header }: CompactToken) => header as { readonly kid: string; readonly alg: string };

function knownKeys(keys: Keys, token: CompactToken): readonly VerificationKey[] {
	const { kid, alg } = namedKey(token);
	return keys.known(kid, alg);
}

/** Whose it is, or says that it is; one text of bounded length. */
const userOf = ({ iss, sub }: CompactToken["payload"]): string =>
	tokenHash(JSON.stringify([iss, typeof sub === "string" ? sub : null]));

/** Whether the token is bound as its issuer's declaration wants, and shown as such. */
function schemeFault(
	issuer: TokenIssuer,
	confirmation: HeldToken["confirmation"],
	scheme: ShownToken["scheme"],
): string | null {
	const fault = bindingFault(issuer, confirmation);
	if (fault !== null) return fault;
	const isKeyBound = confirmation !== null && confirmation.jkt !== null;
	if (isKeyBound && scheme !== "DPoP") return "it is bound to a key, and not shown with the scheme DPoP";
	return !isKeyBound && scheme === "DPoP" ? "the scheme is DPoP, and it is not bound to a key" : null;
}

const sourceName = ({ keys }: TokenIssuer): string => JSON.stringify(keys);
