/** Bounds of units, arms and what a unit is told by. */

/** The scale of all assignment arithmetic: parts per million (design: "Assignment, bit for bit"). */
export const PPM = 1_000_000;

/** Longest unit that executions outside Envoy take; Envoy's own bound is the header limit below. */
export const UNIT_BYTES_MAX = 65_536;

/** Arms of one experiment: each costs 2·(challengers) weighted entries per request table. */
export const ARMS_MAX = 16;

/** Arm weights are integers up to this, so that 10⁶·Σw stays an exact double. */
export const ARM_WEIGHT_MAX = 1_000_000;

/** Parameters of one arm: each is a request header of every request of the arm. */
export const PARAMETERS_MAX = 16;

/** Longest life of a minted cookie: browsers keep none much longer (RFC 6265bis section 5.5: 400 days). */
export const COOKIE_AGE_MS_MAX = 366 * 24 * 60 * 60 * 1000;
