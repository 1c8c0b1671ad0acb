/** Limits of declared files and of their checks. */

/** One resource file: far above any real one, and small enough to parse at once. */
export const RESOURCE_FILE_BYTES_MAX = 4 * 1024 * 1024;

/** Documents in one file or one apply; RESOURCES_MAX limits all declared ones. */
export const RESOURCE_DOCUMENTS_MAX = 5_000;

/**
 * YAML tokens of all files of one request, by cost: a line end, a comment or a key's end counts 1, a comma 2, a text 3,
 * an item or an empty key 4, a bracket, alias, anchor or tag 5, spaces 0. Parsing blocks other requests: 2 s at this
 * limit, 4 s in the worst case. Declarations have one for every 1.5 bytes (3,000 Services of 22 lines with two Variants
 * of three endpoints, 570 each) to 6 bytes (75,000 SPIFFE ids).
 */
export const RESOURCE_TOKENS_MAX = 1_720_000;

/** Minimum cost of one file. */
export const RESOURCE_FILE_TOKENS = 10;

/** Consecutive blank lines: templates leave hundreds of them. */
export const RESOURCE_BLANK_LINES_MAX = 1_000;

/** Values of one resource document, expanded aliases included. */
export const RESOURCE_NODES_MAX = 200_000;

/**
 * Characters that aliases may add to a document, each value with at least RESOURCE_ALIASED_VALUE of them. A few aliases
 * can expand a kilobyte to gigabytes.
 */
export const RESOURCE_ALIASED_CHARS = 4_000;
export const RESOURCE_ALIASED_VALUE = 16;

/** Hosts of one Service, and endpoints of one Variant: far above any that is written or generated. */
export const HOSTS_MAX = 1_000;
export const ENDPOINTS_MAX = 5_000;

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

/** Nesting of lists and maps in a token's claims, the claims themselves counted: real ones have four. */
export const CONDITION_CLAIMS_DEPTH_MAX = 8;

/** Argument of contains(): within V8's limit for linear search (250). */
export const CONDITION_NEEDLE_CHARS_MAX = 250;

/**
 * Steps (access/conditions/conditionCost.ts, some 20 ns each) of all conditions that one request can reach in a Service:
 * 2 ms.
 */
export const CONDITION_STEPS_MAX = 100_000;

/**
 * Values in a Service's rules that Envoy may compare for one request (100 ns each; a path counts up to ten times): about
 * 2 ms of its thread. LISTED_VALUES_MAX limits comparisons with a token's list.
 */
export const RULE_VALUES_MAX = 20_000;

/**
 * Rules, path segments and texts (two count one) that the sidecar may read for one request: 50 to 150 ns each, so 1 to 3
 * ms. A token is split once per request into sets: 45 µs for 600 scopes and 400 groups (6 KB, measured on 2026-11-28, 2
 * cores).
 */
export const RULE_STEPS_MAX = 20_000;

/** Timeout of reading a file that a resource names: a mount whose server is down never answers. */
export const FILE_READ_MS = 5_000;

/** File reads that hang: each holds one of Node's four threads, and two stay free. */
export const FILES_STUCK_MAX = 2;

/** Requests that `weir policy diff` constructs for one Service; beyond it they are a sample of all combinations. */
export const POLICY_DIFF_REQUESTS_MAX = 50_000;

/** Differences that `weir policy diff` shows; all are counted. */
export const POLICY_DIFF_KEPT_MAX = 1_000;

/** Cases of one `weir policy test`. */
export const POLICY_TESTS_MAX = 10_000;

/** Shortest interval of a rate limit: Envoy refills a bucket no more often and rejects a shorter one. */
export const RATE_MS_MIN = 50;

/** Longest path template or prefix: far above any API's paths, and within RE2_PROGRAM_MAX. */
export const PATH_TEMPLATE_CHARS_MAX = 1_024;
