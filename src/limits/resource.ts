/** Limits of declared files and of their checks. */

/** One resource file: far above any real one, and small enough to parse at once. */
export const RESOURCE_FILE_BYTES_MAX = 4 * 1024 * 1024;

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

/** A CEL condition: its characters, the nodes and depth of its tree, and the values in a token's claims that it can read. */
export const CONDITION_CHARS_MAX = 2_048;
export const CONDITION_NODES_MAX = 128;
export const CONDITION_DEPTH_MAX = 24;
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

/**
 * Rules, path segments and texts (two count one) that the sidecar may read for one request: 50 to 150 ns each, so 1 to 3
 * ms. A token is split once per request into sets: 45 µs for 600 scopes and 400 groups (6 KB, measured on 2026-11-28, 2
 * cores).
 */
export const RULE_STEPS_MAX = 20_000;

/** Longest path template or prefix: far above any API's paths, and within RE2_PROGRAM_MAX. */
export const PATH_TEMPLATE_CHARS_MAX = 1_024;
