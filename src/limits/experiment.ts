/** Limits of Experiments: segments and gates. */

/** Values of a segment that are counted separately, in order of appearance; the rest are `other`. */
export const SEGMENT_VALUES_MAX = 20;

/** Gates of an Experiment: control sends one request for each, and compares it with all gates of the Service. */
export const GATES_MAX = 16;

/** Longest timeout of a gate: control holds a connection meanwhile. A gate that refuses is asked again. */
export const GATE_TIMEOUT_MS_MAX = 60_000;
