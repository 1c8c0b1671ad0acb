/** The order of checks on a canonical request: the same for enforced verdicts, dry runs and `weir policy test`. */
import { PROBE_PATH } from "../requests/canonical.js";
import type { AccessRequest, Verdict } from "../verdict.js";

/** The built-in probe, which no policy can allow (canonical.ts). */
const PROBED: Verdict = { allowed: false, reason: "forbidden", policy: null };

/**
 * The verdict on a canonical request by enforced or shadow rules.
 * @param peer of the connection, if the principal was forwarded by it
 * @param invalid why the request's token is refused; null = it is valid or missing
 */
export function judgeInOrder<Judged extends Pick<Verdict, "allowed"> & { readonly reason: string }, Invalid>(
	rules: (request: AccessRequest) => Judged,
	request: AccessRequest,
	peer: string | null,
	invalid: Invalid | null,
): Judged | Verdict | Invalid {
	if (invalid !== null) {
		// An ambiguous path is refused before the token is verified, as in Envoy's gate.
		const verdict = rules(request);
		return verdict.reason === "not-canonical" ? verdict : invalid;
	}
	if (request.path === PROBE_PATH) return PROBED;
	const verdict = rules(request);
	if (!verdict.allowed || request.principal === peer) return verdict;
	// Deny wins, also one for the proxy itself.
	const own = rules({ ...request, principal: peer });
	return own.reason === "forbidden" ? own : verdict;
}
