/**
 * Strict parsing of SPIFFE ids (SPIFFE-ID specification, section 2). Ids are compared literally, so any spelling that
 * another parser could read differently is refused. The schema is in spiffeField.ts.
 */
import { SPIFFE_ID_BYTES_MAX, SPIFFE_TRUST_DOMAIN_BYTES_MAX } from "../../limits/index.js";

/** The error of a SPIFFE id, as the end of a sentence ("… has an empty path segment"), or null. */
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
	// Valid characters, but a path in other parsers.
	if (domain === "." || domain === "..") return "has a . or .. trust domain";
	if (domain.length > SPIFFE_TRUST_DOMAIN_BYTES_MAX)
		return `has a trust domain of more than ${SPIFFE_TRUST_DOMAIN_BYTES_MAX} bytes`;
	if (/[A-Z]/.test(domain)) return "has capitals in its trust domain";
	if (!/^[a-z0-9._-]+$/.test(domain)) return "has a character in its trust domain that SPIFFE forbids";
	if (segments.at(-1) === "") return "ends with a slash";
	if (segments.includes("")) return "has an empty path segment";
	if (segments.some((segment) => segment === "." || segment === "..")) return "has a . or .. path segment";
	if (segments.some((segment) => !/^[A-Za-z0-9._-]+$/.test(segment)))
		return "has a character in its path that SPIFFE forbids";
	return null;
}

/** `example.org` of `spiffe://example.org/…`; the id is well-formed. */
export const trustDomainOf = (id: string): string => id.slice("spiffe://".length).split("/", 1)[0] ?? "";

/** The error of a trust domain name (`example.org`), as the end of a sentence, or null. */
export const trustDomainFault = (domain: string): string | null =>
	domain.includes("/") ? "has a slash, as no trust domain has" : spiffeFault(`spiffe://${domain}`);

export const NOT_A_WORKLOAD = "is a trust domain, not a workload's SPIFFE id";

/** The same for a workload's SPIFFE id, which has a path; a trust domain alone is no workload (X509-SVID section 2). */
export const workloadFault = (id: string): string | null =>
	spiffeFault(id) ?? (id.indexOf("/", "spiffe://".length) === -1 ? NOT_A_WORKLOAD : null);

export const isWorkloadId = (id: string): boolean => workloadFault(id) === null;

/** A regular expression for 1 to `most` of these letters and dots, except `.` and `..`. */
const name = (letters: string, most: number | ""): string =>
	`(?:[.${letters}]{3,${most}}|[${letters}][.${letters}]?|[.][${letters}])`;

/** The path of a workload's id, as a regular expression. */
export const WORKLOAD_PATH = `(?:/${name("A-Za-z0-9_-", "")})+`;

/** isWorkloadId without its length limit, as a regular expression for both RE2 and JavaScript. */
export const WORKLOAD_ID = `spiffe://${name("a-z0-9_-", SPIFFE_TRUST_DOMAIN_BYTES_MAX)}${WORKLOAD_PATH}`;

/**
 * The id of a certificate with exactly one URI name, which must be a workload's (X509-SVID section 2).
 * @param names subjectAltName from Node; null for an unreadable extension, although its types exclude that
 */
export function onlyWorkloadId(names: string | null | undefined): string | null {
	// Node quotes names with commas, quotes, NUL or control characters: they could be parsed as two names.
	if (typeof names !== "string" || /["\\]/.test(names)) return null;
	const [uri, ...more] = names.split(", ").filter((one) => one.startsWith("URI:"));
	if (uri === undefined || more.length > 0) return null;
	const id = uri.slice("URI:".length);
	return isWorkloadId(id) ? id : null;
}

/**
 * Whether an id is a component of the mesh (control, Envoy, sidecar, operator), in any trust domain. Predictors are not:
 * they are called through Envoy.
 */
export function isOwnPart(id: string): boolean {
	const [, , , root, part] = id.split("/");
	return root === "weir" && part !== "predictor";
}
