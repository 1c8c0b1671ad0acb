/** Limits of units and arms. */

/** The scale of all assignment arithmetic: parts per million (design: "Assignment, bit for bit"). */
export const PPM = 1_000_000;

/** Longest unit outside Envoy; in Envoy the limit is GATEWAY_HEADERS_KIB. */
export const UNIT_BYTES_MAX = 65_536;

/** Arms of one experiment: each costs 2·(challengers) weighted entries per request table. */
export const ARMS_MAX = 16;

/** Largest arm weight, an integer: 10⁶·Σw stays an exact double. */
export const ARM_WEIGHT_MAX = 1_000_000;

/** Parameters of one arm: each is a request header of every request of the arm. */
export const PARAMETERS_MAX = 16;

/** Longest life of a cookie: browsers cap it at 400 days (RFC 6265bis section 5.5). */
export const COOKIE_AGE_MS_MAX = 366 * 24 * 60 * 60 * 1000;
