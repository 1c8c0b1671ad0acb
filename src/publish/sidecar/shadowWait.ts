/** Limits the wait of a dry run: a slow issuer's keys must not delay a request until Envoy's timeout. */
import type { TokenAnswer } from "../../compile/access/users/token.js";
import { SHADOW_TOKEN_WAIT_MS } from "../../limits/index.js";

const LATE: TokenAnswer = { refused: "verification-limited", why: "it took too long for a dry run" };

/** The same answer, or none after SHADOW_TOKEN_WAIT_MS: in force, the policy would refuse. */
export function whileDryRunWaits(answer: Promise<TokenAnswer>): Promise<TokenAnswer> {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => resolve(LATE), SHADOW_TOKEN_WAIT_MS);
		answer.then(resolve, reject).finally(() => clearTimeout(timer));
	});
}
