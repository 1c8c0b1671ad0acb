/** What `response_code_details` say of a refusal by access rules, whoever decided. */
import { denialOf as nativeDenial } from "../compiler/denial.js";

export interface Denial {
	readonly by: "envoy" | "sidecar";
	/** null = the sidecar refused, and its metadata say why. */
	readonly reason: string | null;
	/** AccessPolicy that decided; null = none, or not told here. */
	readonly policy: string | null;
}

const WEIR = "weir_";

/** null = no access rule refused the request. */
export function denialOf(codeDetails: string): Denial | null {
	const native = nativeDenial(codeDetails);
	if (native !== null) return { by: "envoy", ...native };
	// Escaped slashes are refused while the path is normalised, before any filter.
	if (codeDetails === "path_normalization_failed") return { by: "envoy", reason: "not-canonical", policy: null };
	// No listener upgrades (WebSocket), and Envoy refuses it before any filter.
	if (codeDetails === "upgrade_failed") return { by: "envoy", reason: "upgrade-refused", policy: null };
	if (codeDetails === "ext_authz_denied") return { by: "sidecar", reason: null, policy: null };
	if (codeDetails === "ext_authz_error" || codeDetails.startsWith("ext_proc_error")) {
		return { by: "sidecar", reason: "unanswered", policy: null };
	}
	if (!codeDetails.startsWith(WEIR)) return null;
	return { by: "sidecar", reason: codeDetails.slice(WEIR.length).replaceAll("_", "-"), policy: null };
}
