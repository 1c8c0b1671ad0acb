/** Limits of end users' tokens, their keys, DPoP proofs and signed decisions. */

/** An end user's token, encoded (RFC 7519 has no limit): those of identity providers are below 4 KiB. */
export const TOKEN_BYTES_MAX = 8 * 1024;

/** Different texts in a token of TOKEN_BYTES_MAX: 6 KB of JSON, scopes of two characters and a space. */
export const TOKEN_TEXTS_MAX = 2_048;

/**
 * Issuers of one Gateway. Envoy's jwt_authn parses a token again for each issuer: 15 µs of CPU each, so 1.5 ms for a
 * token of the last one or of none (1.36.2 to 1.40.0, 2 cores). Each Service with user rules has 2 KB of rules per
 * issuer in the route table.
 */
export const ISSUERS_MAX = 100;

/** Nesting of a token's JSON, including the top object: same as Envoy's jwt_authn (measured on 1.40.0). */
export const TOKEN_DEPTH_MAX = 100;

/** Clock skew of an issuer, in seconds: Envoy's own default for exp and nbf. */
export const TOKEN_SKEW_SECONDS = 60;

/** Verified tokens in the cache, and their total size: one per user of a busy Gateway. */
export const TOKENS_CACHED_MAX = 20_000;
export const TOKENS_CACHED_BYTES_MAX = 32 * 1024 * 1024;

/** Tokens and proofs in verification: one more would wait longer than Envoy's timeout. */
export const TOKENS_PENDING_MAX = 512;

/** Tokens that wait for an issuer's keys to be fetched. */
export const TOKENS_KEYS_WAITING_MAX = 512;

/**
 * Failed signatures of one payer: burst, and per second. 0.13 ms of one core each for ES256, 0.3 ms for the largest RSA
 * keys, so 7 % of a core per payer, at most 15 %.
 */
export const TOKEN_FAILED = { burst: 500, perSecond: 500 } as const;

/** The same for a user with earlier valid tokens, when its payer's quota is used up. */
export const TOKEN_FAILED_USER = { burst: 20, perSecond: 1 } as const;

/** New valid tokens of one user: for a client that requests a token for each of its requests. */
export const TOKEN_USER = { burst: 200, perSecond: 100 } as const;

/** Valid DPoP proofs of one user, one for each request: a busy service's own token. */
export const DPOP_USER = { burst: 2_000, perSecond: 1_000 } as const;

/** Users with earlier valid tokens that are cached; the least recently seen is dropped. */
export const TOKEN_USERS_MAX = 20_000;

/** Payers whose quotas are cached; the least recently seen is dropped and starts with a full quota. */
export const TOKEN_PAYERS_MAX = 10_000;

/** A JWKS from a URL: how long it is fresh (ten minutes, as in jose and Envoy), and how long it is used while fetches fail. */
export const KEYS_URL_MS = { fresh: 10 * 60_000, stale: 60 * 60_000, cooldown: 30_000 } as const;

/** A JWKS in a file is read at each check (KEYS_LOOK_MS). */
export const KEYS_FILE_MS = { fresh: 1_000, stale: 60 * 60_000, cooldown: 1_000 } as const;

/** First pause after a failed fetch; doubled up to the cooldown. */
export const KEYS_RETRY_MS = 1_000;

/** Longest such pause while there is no key at all, because all of the issuer's tokens fail meanwhile. */
export const KEYS_NONE_RETRY_MS = 5_000;

/** Timeout of one fetch of a JWKS, with name resolution. */
export const KEYS_FETCH_MS = 5_000;

/** A JWKS: a hundred keys of 4,096 bits take 80 KiB. A file of CA certificates has the same limit. */
export const KEYS_BYTES_MAX = 256 * 1024;
export const KEYS_MAX = 100;

/**
 * Keys of one key id and algorithm in a set: a rotation has two or three. Keys without an id match any token, so Envoy
 * and the sidecar try a token against at most twice as many.
 */
export const KEYS_SAME_NAME_MAX = 4;

/** RSA moduli: RFC 7518 3.3 requires at least 2,048. Envoy and Node accept up to 16,384, at a millisecond per signature. */
export const RSA_MODULUS_BITS = { min: 2_048, max: 8_192 } as const;

/** Age of a DPoP proof, and how far in the future it may be, in seconds (RFC 9449 11.1: brief). */
export const DPOP_AGE_SECONDS = 60;

/**
 * DPoP proofs and signed decisions in the replay cache: 3,125 proofs a second, each kept for at most 160 s. 65 MB when
 * full.
 */
export const REPLAYS_MAX = 500_000;

/**
 * The replay cache of a sidecar with several workers: REPLAYS_MAX per worker, for at most eight. The process that holds
 * it answers about twice the 25,000 proofs a second that fit. 520 MB when full.
 */
export const REPLAYS_SHARED_MAX = 8 * REPLAYS_MAX;

/**
 * How long a used DPoP proof is in the replay cache: it is valid from DPOP_AGE_SECONDS before its iat until
 * DPOP_AGE_SECONDS after it.
 */
export const PROOF_KEPT_MS = 2 * DPOP_AGE_SECONDS * 1_000;

/**
 * Timeout of a worker's query of the shared replay cache; then the proof is refused. Envoy waits CALLOUT_TIMEOUT_MS by
 * default.
 */
export const PROOF_QUERY_MS = 1_000;

/** Validity of a signed decision: one hop inside a mesh. */
export const DECISION_LIFETIME_MS = 5_000;

/** A signed decision as a header: a chain of three certificates is 3 KiB. */
export const DECISION_BYTES_MAX = 16 * 1024;

/** Certificates from a signer's own to the trust bundle. */
export const DECISION_CHAIN_MAX = 3;

/** Verified certificate chains of signers that are cached: one per sidecar and rotation. */
export const DECISION_SIGNERS_MAX = 256;

/**
 * How often key sets are checked for freshness (0.1 ms): an old key in a file is used for as long. It is also the delay
 * of an unknown key that an access log reports.
 */
export const KEYS_LOOK_MS = 2_000;

/**
 * How long a publication waits for an issuer's file, and the first one for its URL. A revocation must not wait for a
 * slow issuer.
 */
export const KEYS_WAIT_MS = 1_000;

/**
 * How long a started xds then waits for issuers before it publishes that they have no key: together less than
 * PUBLICATION_LAG_MS.
 */
export const KEYS_STARTUP_WAIT_MS = 3_000;
