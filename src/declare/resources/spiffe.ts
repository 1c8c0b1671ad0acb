/**
 * SPIFFE ids, strictly (SPIFFE-ID specification, section 2): compared literally and never as a pattern, so any
 * spelling that another parser could read differently is refused. As a field of a declaration: spiffeField.ts.
 */
import { SPIFFE_ID_BYTES_MAX, SPIFFE_TRUST_DOMAIN_BYTES_MAX } from "../../limits/index.js";

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

/** What is wrong with the name of a trust domain (`example.org`), as the end of a sentence, or null. */
export const trustDomainFault = (domain: string): string | null =>
	domain.includes("/") ? "has a slash, as no trust domain has" : spiffeFault(`spiffe://${domain}`);

/** The end of a sentence likewise. */
export const NOBODY = "is a trust domain, and nobody's id";

/** Likewise of a workload's SPIFFE id, which has a path; a trust domain alone is nobody (X509-SVID section 2). */
export const workloadFault = (id: string): string | null =>
	spiffeFault(id) ?? (id.indexOf("/", "spiffe://".length) === -1 ? NOBODY : null);

export const isWorkloadId = (id: string): boolean => workloadFault(id) === null;

/** Of these letters and dots, up to so many; `.` and `..` are none. */
const name = (letters: string, most: number | ""): string =>
	`(?:[.${letters}]{3,${most}}|[${letters}][.${letters}]?|[.][${letters}])`;

/** What follows the trust domain in a workload's id, as a pattern likewise. */
export const WORKLOAD_PATH = `(?:/${name("A-Za-z0-9_-", "")})+`;

/** isWorkloadId, but for the length of all of it, as a pattern that RE2 and JavaScript read alike. */
export const WORKLOAD_ID = `spiffe://${name("a-z0-9_-", SPIFFE_TRUST_DOMAIN_BYTES_MAX)}${WORKLOAD_PATH}`;

/**
 * The id of a certificate with exactly one URI name, and that a workload's (X509-SVID section 2).
 * @param names subjectAltName as Node writes it; of an extension that cannot be read it says null, against its types
 */
export function onlyWorkloadId(names: string | null | undefined): string | null {
	// Node quotes every name that holds a comma, a quote, NUL or a control character: such a certificate has no id here,
	// so that no name can be read as two.
	if (typeof names !== "string" || /["\\]/.test(names)) return null;
	const [uri, ...more] = names.split(", ").filter((one) => one.startsWith("URI:"));
	if (uri === undefined || more.length > 0) return null;
	const id = uri.slice("URI:".length);
	return isWorkloadId(id) ? id : null;
}

/**
 * Whether an id is one of the mesh's own parts (control, an Envoy, a sidecar, an operator), in whatever trust domain.
 * Predictors are not: to be called through Envoy is what they are for.
 */
export function isOwnPart(id: string): boolean {
	const [, , , root, part] = id.split("/");
	return root === "weir" && part !== "predictor";
}
