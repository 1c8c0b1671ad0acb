/** Bounds of what an Experiment is judged by: settling, segments, looks, periods. */

/** Settling time of a metric when its Service has no timeout: after it an unfinished request is a failure. */
export const SETTLE_DEFAULT_MS = 5_000;

/** Segments of an Experiment: each takes a part of alpha, and a column of every exposure. */
export const SEGMENTS_MAX = 5;

/** Values of a segment that count by themselves, in order of appearance; the rest together are `other`. */
export const SEGMENT_VALUES_MAX = 20;

/** Guardrails of an Experiment: they share harm's alpha, and each is a test of every challenger at every look. */
export const GUARDRAILS_MAX = 20;

/** Gates of an Experiment: each is a request of control's at its time, and is compared with those of all others of the Service. */
export const GATES_MAX = 16;

/** Longest that a gate is waited for: it has a connection of control's for so long, and one that says no is asked again. */
export const GATE_TIMEOUT_MS_MAX = 60_000;

/** Least alpha. */
export const ALPHA_MIN = 1e-6;

/**
 * Challengers × claims × values of all segments (and `other`): so many tests of harm may one look at an Experiment take
 * in segments, about 0.1 s. All running Experiments share one loop.
 */
export const SEGMENT_TESTS_MAX = 10_000;

/** Planned looks of a group-sequential design: more are hardly better than looking always. */
export const LOOKS_MAX = 50;

/** Periods of first exposure that evidence is told apart by: a day each at first, merged in pairs beyond this many. */
export const PERIODS_MAX = 60;

/** Other Experiments that a promotion is checked against: each is a join over all units, and takes a part of the level. */
export const INTERACTIONS_MAX = 10;

/** Bytes of a segment's value: a country, a plan, a model's name. What is longer is no group of units but a text. */
export const SEGMENT_VALUE_BYTES_MAX = 64;
