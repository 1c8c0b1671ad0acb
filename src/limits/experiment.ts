/** Limits of Experiments: settling, segments, looks, periods. */

/** Settling time of a metric whose Service has no timeout. An unfinished request is then a failure. */
export const SETTLE_DEFAULT_MS = 5_000;

/** Segments of an Experiment: each takes a part of alpha, and a column of every exposure. */
export const SEGMENTS_MAX = 5;

/** Values of a segment that are counted separately, in order of appearance; the rest are `other`. */
export const SEGMENT_VALUES_MAX = 20;

/** Guardrails of an Experiment: they share the alpha of harm, and each is a test of every challenger at every look. */
export const GUARDRAILS_MAX = 20;

/** Gates of an Experiment: control sends one request for each, and compares it with all gates of the Service. */
export const GATES_MAX = 16;

/** Longest timeout of a gate: control holds a connection meanwhile. A gate that refuses is asked again. */
export const GATE_TIMEOUT_MS_MAX = 60_000;

/** Smallest alpha. */
export const ALPHA_MIN = 1e-6;

/**
 * Tests of harm in segments at one look: challengers × claims × values of all segments (and `other`). They take about
 * 0.1 s of the event loop that all Experiments share.
 */
export const SEGMENT_TESTS_MAX = 10_000;

/** Planned looks of a group-sequential design: more gain little over continuous monitoring. */
export const LOOKS_MAX = 50;

/** Periods of first exposure: one day each, merged in pairs beyond this number. */
export const PERIODS_MAX = 60;

/** Other Experiments that a promotion is checked against: each is a join over all units and uses a part of alpha. */
export const INTERACTIONS_MAX = 10;

/** Bytes of a segment's value: a country, a plan or a model's name, not free text. */
export const SEGMENT_VALUE_BYTES_MAX = 64;
