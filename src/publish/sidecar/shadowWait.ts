/** Limits the wait of a dry run: a slow issuer's keys must not delay a request until Envoy's timeout. */
import type { TokenAnswer } from "../../compile/access/users/token.js";

/**
 * How long the sidecar waits for the verification of a token that only shadow policies need: a quarter of
 * CALLOUT_TIMEOUT_MS.
 */
export const SHADOW_TOKEN_WAIT_MS = 50;

const LATE: TokenAnswer = { refused: "verification-limited", why: "it took too long for a dry run" };

/** The same answer, or none after SHADOW_TOKEN_WAIT_MS: in force, the policy would refuse. */
export function whileDryRunWaits(answer: Promise<TokenAnswer>): Promise<TokenAnswer> {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => resolve(LATE), SHADOW_TOKEN_WAIT_MS);
		answer.then(resolve, reject).finally(() => clearTimeout(timer));
	});
}
