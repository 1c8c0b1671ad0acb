/** Limits of units and arms. */

/** The scale of all assignment arithmetic: parts per million (design: "Assignment, bit for bit"). */
export const PPM = 1_000_000;

/** Arms of one experiment: each costs 2·(challengers) weighted entries per request table. */
export const ARMS_MAX = 16;

/** Largest arm weight, an integer: 10⁶·Σw stays an exact double. */
export const ARM_WEIGHT_MAX = 1_000_000;
