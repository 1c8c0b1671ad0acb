/**
 * SPIFFE ids, strictly (SPIFFE-ID specification, section 2): compared literally and never as a pattern, so any
 * spelling that another parser could read differently is refused.
 */
import { z } from "zod";
import { SPIFFE_ID_BYTES_MAX } from "../limits.js";
import { refuse } from "./scalar.js";

export const SPIFFE_HINT = "write a SPIFFE id such as spiffe://example.org/ns/team-a/sa/web";

/** What is wrong with a SPIFFE id, as the end of a sentence ("… has an empty path segment"), or null. */
export function spiffeFault(id: string): string | null {
	if (id.length > SPIFFE_ID_BYTES_MAX) return `is longer than ${SPIFFE_ID_BYTES_MAX} bytes`;
	if (!id.startsWith("spiffe://")) return "does not begin with spiffe://";
	const rest = id.slice("spiffe://".length);
	const [domain = "", ...segments] = rest.split("/");
	if (/[?#]/.test(rest)) return "has a query or fragment";
	if (rest.includes("%")) return "has percent-encoding";
	if (domain.includes("@")) return "has user information";
	if (domain.includes(":")) return "has a port";
	if (domain === "") return "has no trust domain";
	// Its letters are allowed, but a reader that takes it for a path would walk there.
	if (domain === "." || domain === "..") return "has a . or .. trust domain";
	if (domain.length > 255) return "has a trust domain of more than 255 bytes";
	if (/[A-Z]/.test(domain)) return "has capitals in its trust domain";
	if (!/^[a-z0-9._-]+$/.test(domain)) return "has a character in its trust domain that SPIFFE forbids";
	if (segments.at(-1) === "") return "ends with a slash";
	if (segments.includes("")) return "has an empty path segment";
	if (segments.some((segment) => segment === "." || segment === "..")) return "has a . or .. path segment";
	if (segments.some((segment) => !/^[A-Za-z0-9._-]+$/.test(segment)))
		return "has a character in its path that SPIFFE forbids";
	return null;
}

/** A workload's SPIFFE id: without a fault and with a path; a trust domain alone is nobody (X509-SVID section 2). */
export const isWorkloadId = (id: string): boolean =>
	spiffeFault(id) === null && id.indexOf("/", "spiffe://".length) !== -1;

/**
 * Whether an id is one of the mesh's own parts (control, an Envoy, a sidecar, an operator), in whatever trust domain.
 * Predictors are not: to be called through Envoy is what they are for.
 */
export function isOwnPart(id: string): boolean {
	const [, , , root, part] = id.split("/");
	return root === "weir" && part !== "predictor";
}

/** An exact SPIFFE id. */
export const spiffeId = z
	.string({ error: SPIFFE_HINT })
	.transform((value, context): string => {
		const fault = spiffeFault(value);
		return fault === null ? value : refuse(context, SPIFFE_HINT, `${fault} (${JSON.stringify(value.slice(0, 80))})`);
	})
	.meta({ description: "Exact SPIFFE id, such as spiffe://example.org/ns/team-a/sa/web." });
