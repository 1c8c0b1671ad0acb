/** In which order a request is judged that got as far as rules: one for verdicts in force, dry runs and `weir policy test`. */
import { PROBE_PATH } from "../requests/canonical.js";
import type { AccessRequest, Verdict } from "../verdict.js";

/** The built-in probe, which no policy can allow (canonical.ts). */
const PROBED: Verdict = { allowed: false, reason: "forbidden", policy: null };

/**
 * The verdict on a canonical request by these rules, tried or in force.
 * @param peer of the connection, where the request's principal is who it speaks for
 * @param invalid what the request's token is refused for; null = it holds, or there is none
 */
export function judgedBy<Said extends Pick<Verdict, "allowed"> & { readonly reason: string }, Invalid>(
	rules: (request: AccessRequest) => Said,
	request: AccessRequest,
	peer: string | null,
	invalid: Invalid | null,
): Said | Verdict | Invalid {
	if (invalid !== null) {
		// An ambiguous path is refused before any token is looked at, as Envoy's gate does.
		const verdict = rules(request);
		return verdict.reason === "not-canonical" ? verdict : invalid;
	}
	if (request.path === PROBE_PATH) return PROBED;
	const verdict = rules(request);
	if (!verdict.allowed || request.principal === peer) return verdict;
	// Forbid wins, also the one that names the proxy itself.
	const own = rules({ ...request, principal: peer });
	return own.reason === "forbidden" ? own : verdict;
}
