/**
 * Envoy versions by tier: a test of the same on several Envoys runs on the newest one in the fast tier, and on the older ones in the
 * long tier (test/long/olderEnvoys.test.ts).
 */
const NEWEST = "1.40.0";

/** Of the environment: `1` = older versions instead of the newest. */
export const OLDER_ENVOYS = "WEIR_TEST_OLDER_ENVOYS";

/** @param cases Envoy versions, or tuples that begin with one @returns those that this run is about */
export const inThisTier = <Case extends string | readonly [version: string, ...more: unknown[]]>(
	cases: readonly Case[],
): readonly Case[] => {
	const older = process.env[OLDER_ENVOYS] === "1";
	return cases.filter((one) => ((typeof one === "string" ? one : one[0]) !== NEWEST) === older);
};
