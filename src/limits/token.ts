/** Bounds of end users' tokens, the keys that verify them, proofs and signed decisions. */

/** An end user's token, as it is shown (RFC 7519 names no bound): identity providers' real ones are below 4 KiB. */
export const TOKEN_BYTES_MAX = 8 * 1024;

/** Different texts that a token of TOKEN_BYTES_MAX has room for: 6 KB of JSON, scopes of two characters and a space. */
export const TOKEN_TEXTS_MAX = 2_048;

/**
 * Issuers of one Gateway. Envoy's jwt_authn reads a token anew for each until one is its own: some 15 µs of CPU each, so 1.5 ms
 * for each request with a token of the last or of none (1.36.2 to 1.40.0, 2 cores). Each Service that judges users has 2 KB
 * of rules for each of them in the route table.
 */
export const ISSUERS_MAX = 100;

/** Nesting of a token's JSON, the top object counted: as Envoy's jwt_authn (measured on 1.40.0). */
export const TOKEN_DEPTH_MAX = 100;

/** How far an issuer's clock may be from ours, in seconds: Envoy's own default for exp and nbf. */
export const TOKEN_SKEW_SECONDS = 60;

/** Verified tokens that are remembered, and the bytes of all of them together: one per user of a busy Gateway. */
export const TOKENS_CACHED_MAX = 20_000;
export const TOKENS_CACHED_BYTES_MAX = 32 * 1024 * 1024;

/** Tokens and proofs that are being verified at once: beyond, the next one would wait longer than Envoy does. */
export const TOKENS_PENDING_MAX = 512;

/** Tokens that wait at once for an issuer's keys to be fetched. */
export const TOKENS_KEYS_WAITING_MAX = 512;

/**
 * Signatures of one payer that did not hold: at once, and per second after that. 0.13 ms of one core each for ES256, 0.3
 * ms for the largest RSA keys, so some 7 % of a core per payer, 15 % at the most.
 */
export const TOKEN_FAILED = { burst: 500, perSecond: 500 } as const;

/** The same of one user whose tokens have held, once its payer has none left: what it needs for signatures under way. */
export const TOKEN_FAILED_USER = { burst: 20, perSecond: 1 } as const;

/** New tokens of one user that held: a client that asks for a token for each of its requests has this many. */
export const TOKEN_USER = { burst: 200, perSecond: 100 } as const;

/** DPoP proofs of one user that held, one for each request: a busy service's own token. */
export const DPOP_USER = { burst: 2_000, perSecond: 1_000 } as const;

/** Users that are remembered as holders of good tokens; who was not seen for longest is a stranger again. */
export const TOKEN_USERS_MAX = 20_000;

/** Payers that are remembered; who has not been seen for longest is forgotten, and begins anew. */
export const TOKEN_PAYERS_MAX = 10_000;

/** A JWKS from an address: how long it is fresh (jose's and Envoy's usual ten minutes), and how long it serves while none can be had. */
export const KEYS_URL_MS = { fresh: 10 * 60_000, stale: 60 * 60_000, cooldown: 30_000 } as const;

/** A JWKS in a file is read at each look (KEYS_LOOK_MS): it costs nothing. */
export const KEYS_FILE_MS = { fresh: 1_000, stale: 60 * 60_000, cooldown: 1_000 } as const;

/** First pause after a failed fetch; doubled up to the cooldown. */
export const KEYS_RETRY_MS = 1_000;

/** The longest such pause while there is no key at all: nobody's token holds meanwhile, and an issuer that is back is asked 12 times a minute. */
export const KEYS_NONE_RETRY_MS = 5_000;

/** One fetch of a JWKS, name resolution included. */
export const KEYS_FETCH_MS = 5_000;

/** A JWKS: a hundred keys of 4,096 bits take 80 KiB. A file of CA certificates has the same bound. */
export const KEYS_BYTES_MAX = 256 * 1024;
export const KEYS_MAX = 100;

/**
 * Keys of one name and algorithm in a set: a rotation has two or three at once. Those without a name fit any token, so
 * that one is tried against twice as many at the most, by Envoy and by the sidecar.
 */
export const KEYS_SAME_NAME_MAX = 4;

/** RSA moduli: RFC 7518 3.3 wants 2,048 at the least, and jose refuses less; Envoy and Node take up to 16,384, at a millisecond for each signature. */
export const RSA_MODULUS_BITS = { min: 2_048, max: 8_192 } as const;

/** Age of a DPoP proof, and how far in the future it may be, in seconds (RFC 9449 11.1: brief). */
export const DPOP_AGE_SECONDS = 60;

/**
 * DPoP proofs and signed decisions that are remembered against replay: 3,125 proofs a second, each kept for 160 s at most.
 * 65 MB when full.
 */
export const REPLAYS_MAX = 500_000;

/**
 * Of a sidecar with several workers, which remember together: as many for each worker, and no more than for eight. That is 25,000
 * proofs a second, about half of what the process that remembers for all can answer. 520 MB when full.
 */
export const REPLAYS_SHARED_MAX = 8 * REPLAYS_MAX;

/** How long a used DPoP proof is remembered: it is good from DPOP_AGE_SECONDS before its iat to as long after it. */
export const PROOF_KEPT_MS = 2 * DPOP_AGE_SECONDS * 1_000;

/** How long a worker waits to be told whether a proof was used: beyond it the proof is refused. Envoy waits CALLOUT_TIMEOUT_MS, unless told. */
export const PROOF_ASKED_MS = 1_000;

/** How long a signed decision holds: one hop inside a mesh. */
export const DECISION_LIFETIME_MS = 5_000;

/** A signed decision as a header: a chain of three certificates is 3 KiB. */
export const DECISION_BYTES_MAX = 16 * 1024;

/** Certificates from a signer's own to the trust bundle. */
export const DECISION_CHAIN_MAX = 3;

/** Chains of signers that were verified and are remembered: one per sidecar and rotation. */
export const DECISION_SIGNERS_MAX = 256;

/**
 * How often whoever verifies tokens, or publishes the keys for it, looks whether a set is fresh still: an old key in a file stays
 * good for as long, or a second more, and a look costs some 0.1 ms. An unknown key that an access log tells of is heard of as soon.
 */
export const KEYS_LOOK_MS = 2_000;

/** How long a publication waits for an issuer's file, and the first for its address: most answer at once, and no revocation waits for a slow one. */
export const KEYS_WAIT_MS = 1_000;

/**
 * How long an xds that has just started waits, after that, for issuers, before it tells Envoys that they
 * have no key: together less than PUBLICATION_LAG_MS, by which control would be unready.
 */
export const KEYS_AWAITED_MS = 3_000;
