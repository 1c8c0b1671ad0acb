/** Bounds of declared files and of what is computed from them. */

/** One resource document set: far above any real file, small enough to parse in one go. */
export const RESOURCE_FILE_BYTES_MAX = 4 * 1024 * 1024;

/** Documents in one file or one apply; how many may be declared in all is RESOURCES_MAX. */
export const RESOURCE_DOCUMENTS_MAX = 5_000;

/**
 * YAML tokens of all files of one request, by what they cost: a line's end, a comment and what ends a key count for one, a
 * comma for two, a text for three, an item or an empty key for four, a bracket, alias, anchor or tag for five, spaces for
 * none. No other request is answered while they are parsed: two seconds at this bound, four for what is made to be dear.
 * Declarations have one for every byte and a half (Services of 22 lines with two Variants of three endpoints: 570 each, so
 * 3,000 of them) to six (75,000 SPIFFE ids).
 */
export const RESOURCE_TOKENS_MAX = 1_720_000;

/** What one file counts for at the least. */
export const RESOURCE_FILE_TOKENS = 10;

/** Blank lines in a row: templates leave hundreds of them. */
export const RESOURCE_BLANK_LINES_MAX = 1_000;

/** Values of one resource document, those that aliases add among them: no real file has as many. */
export const RESOURCE_NODES_MAX = 200_000;

/**
 * Characters that aliases may add to a document beyond its own length, each value for at least RESOURCE_ALIASED_VALUE of them:
 * a few would make gigabytes of a kilobyte, for its reader and for everybody who reads the state that it is part of.
 */
export const RESOURCE_ALIASED_CHARS = 4_000;
export const RESOURCE_ALIASED_VALUE = 16;

/** Hosts of one Service, and endpoints of one Variant: far above any that is written by hand or by a template. */
export const HOSTS_MAX = 1_000;
export const ENDPOINTS_MAX = 5_000;

/** Nesting of one resource document: the deepest field of any kind lies at 7. */
export const RESOURCE_DEPTH_MAX = 32;

/** Problems reported at once: a file of another format would fill the screen with thousands. */
export const PROBLEMS_MAX = 200;

/** Problems that are put into words before those to be told are chosen, the first by place; nothing more is read then. */
export const PROBLEMS_FOUND_MAX = 2_000;

/** Longest duration in a resource: a year and a day; a longer one is a slip of the unit. */
export const DURATION_MS_MAX = 366 * 24 * 60 * 60 * 1000;

/** SPIFFE id (SPIFFE-ID specification 2.3). */
export const SPIFFE_ID_BYTES_MAX = 2_048;

/** Trust domain of one (SPIFFE-ID specification 2.3). */
export const SPIFFE_TRUST_DOMAIN_BYTES_MAX = 255;

/** A condition in CEL: characters, nodes and depth of its tree, and values that a token's claims may hold for one to read them. */
export const CONDITION_CHARS_MAX = 2_048;
export const CONDITION_NODES_MAX = 128;
export const CONDITION_DEPTH_MAX = 24;
export const CONDITION_LIST_MAX = 256;

/**
 * Characters of what a condition reads; beyond, it cannot be told. A path is longer only in attacks; a token's texts are
 * what TOKEN_BYTES_MAX leaves for them.
 */
export const CONDITION_PATH_CHARS_MAX = 4_096;
export const CONDITION_USER_CHARS_MAX = 6_144;
export const CONDITION_METHOD_CHARS_MAX = 64;
export const CONDITION_NAME_CHARS_MAX = 512;

/** Levels of lists and maps in a token's claims, the claims themselves the first: real ones have four. */
export const CONDITION_CLAIMS_DEPTH_MAX = 8;

/** A text that contains() looks for: within V8's bounds for linear search (250). */
export const CONDITION_NEEDLE_CHARS_MAX = 250;

/**
 * Steps (access/conditions/conditionCost.ts, some 20 ns each) of all conditions that one request can reach in a Service: 2 ms. Another
 * request waits so long at most, whatever one namespace declares.
 */
export const CONDITION_STEPS_MAX = 100_000;

/**
 * What Envoy may try of a Service's rules for one request, one value after the other (some 100 ns each, a path up to ten times as
 * much, which is counted so): about 2 ms, for which others wait on the same thread. What is compared with a token's list takes
 * longer, and is bounded by LISTED_VALUES_MAX.
 */
export const RULE_VALUES_MAX = 20_000;

/**
 * Rules, segments of paths and texts (two count one) that the sidecar may look at for one request; most it finds otherwise. 50 to
 * 150 ns each: 1 to 3 ms. What a token says is split once for a request, and looked for in sets: with 600 scopes and 400 groups
 * (6 KB, measured on 2026-11-28, 2 cores) that is 45 µs at the first rule that asks, and no more at the others.
 */
export const RULE_STEPS_MAX = 20_000;

/** One read of a file that a resource names: a disk answers in milliseconds, a mount whose server is gone never. */
export const FILE_READ_MS = 5_000;

/** Files whose readers have not come back: each holds one of Node's four threads, and two are left for all else. */
export const FILES_STUCK_MAX = 2;

/** Requests that `weir policy diff` constructs for one Service: seconds; beyond it they are spread over all combinations. */
export const POLICY_DIFF_REQUESTS_MAX = 50_000;

/** Differences that `weir policy diff` keeps to show; all are counted. */
export const POLICY_DIFF_KEPT_MAX = 1_000;

/** Cases of one `weir policy test`: a person reads the failures. */
export const POLICY_TESTS_MAX = 10_000;

/** Shortest time of a rate limit: Envoy fills a bucket no more often, and refuses whatever holds a shorter one. */
export const RATE_MS_MIN = 50;

/** Longest path template or prefix: far above any API's paths, and a bound for RE2_PROGRAM_MAX. */
export const PATH_TEMPLATE_CHARS_MAX = 1_024;
