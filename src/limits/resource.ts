/** Limits of declared files and of their checks. */

/** Documents in one file or one apply; RESOURCES_MAX limits all declared ones. */
export const RESOURCE_DOCUMENTS_MAX = 5_000;

/** Nesting of one resource document: the deepest field of any kind is at 7. */
export const RESOURCE_DEPTH_MAX = 32;

/** Problems reported at once: a file of another format would fill the screen with thousands. */
export const PROBLEMS_MAX = 200;

/** Problems that are collected; reading then stops. The first PROBLEMS_MAX by position are reported. */
export const PROBLEMS_FOUND_MAX = 2_000;

/** Longest duration in a resource: a year and a day. A longer one is a wrong unit. */
export const DURATION_MS_MAX = 366 * 24 * 60 * 60 * 1000;

/** SPIFFE id (SPIFFE-ID specification 2.3). */
export const SPIFFE_ID_BYTES_MAX = 2_048;

/** Trust domain of a SPIFFE id (SPIFFE-ID specification 2.3). */
export const SPIFFE_TRUST_DOMAIN_BYTES_MAX = 255;

/** Values in a token's claims that a CEL condition can read. */
export const CONDITION_LIST_MAX = 256;

/**
 * Characters of a condition's inputs; with a longer input it has no result. A path is longer only in attacks; a token's
 * texts fit in TOKEN_BYTES_MAX.
 */
export const CONDITION_PATH_CHARS_MAX = 4_096;
export const CONDITION_USER_CHARS_MAX = 6_144;
export const CONDITION_METHOD_CHARS_MAX = 64;
export const CONDITION_NAME_CHARS_MAX = 512;

/**
 * Steps (access/conditions/conditionCost.ts, some 20 ns each) of all conditions that one request can reach in a Service:
 * 2 ms.
 */
export const CONDITION_STEPS_MAX = 100_000;

/** Longest path template or prefix: far above any API's paths, and within RE2_PROGRAM_MAX. */
export const PATH_TEMPLATE_CHARS_MAX = 1_024;
