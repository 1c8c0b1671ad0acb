/** Limits of end users' tokens, their keys, DPoP proofs and signed decisions. */

/** An end user's token, encoded (RFC 7519 has no limit): those of identity providers are below 4 KiB. */
export const TOKEN_BYTES_MAX = 8 * 1024;

/** Clock skew of an issuer, in seconds: Envoy's own default for exp and nbf. */
export const TOKEN_SKEW_SECONDS = 60;

/** Tokens and proofs in verification: one more would wait longer than Envoy's timeout. */
export const TOKENS_PENDING_MAX = 512;

/** A JWKS from a URL: how long it is fresh (ten minutes, as in jose and Envoy), and how long it is used while fetches fail. */
export const KEYS_URL_MS = { fresh: 10 * 60_000, stale: 60 * 60_000, cooldown: 30_000 } as const;

/** A JWKS in a file is read at each check (KEYS_REFRESH_MS). */
export const KEYS_FILE_MS = { fresh: 1_000, stale: 60 * 60_000, cooldown: 1_000 } as const;

/** First pause after a failed fetch; doubled up to the cooldown. */
export const KEYS_RETRY_MS = 1_000;

/** Timeout of one fetch of a JWKS, with name resolution. */
export const KEYS_FETCH_MS = 5_000;

/** A JWKS, with KEYS_MAX keys. A file of CA certificates has the same limit. */
export const KEYS_BYTES_MAX = 256 * 1024;

/** Age of a DPoP proof, and how far in the future it may be, in seconds (RFC 9449 11.1: brief). */
export const DPOP_AGE_SECONDS = 60;

/**
 * DPoP proofs and signed decisions in the replay cache: 3,125 proofs a second, each kept for at most 160 s. 65 MB when
 * full.
 */
export const REPLAYS_MAX = 500_000;

/**
 * How long a used DPoP proof is in the replay cache: it is valid from DPOP_AGE_SECONDS before its iat until
 * DPOP_AGE_SECONDS after it.
 */
export const PROOF_KEPT_MS = 2 * DPOP_AGE_SECONDS * 1_000;

/**
 * How often key sets are checked for freshness (0.1 ms): an old key in a file is used for as long. It is also the delay
 * of an unknown key that an access log reports.
 */
export const KEYS_REFRESH_MS = 2_000;
