/**
 * x-forwarded-client-cert, as Envoy writes it: elements apart by commas, one for each proxy passed; in each, pairs apart
 * by semicolons; a value that holds `,` `;` or `=` stands in double quotes, where `\"` is a quote
 * (envoyproxy/envoy docs, "x-forwarded-client-cert"). Anything that could be read in two ways is refused as a whole.
 * Anyone can write this header: it counts only from a hop that has proved to be a trusted proxy.
 */

import { spiffeFault, trustDomainOf } from "../../../declare/resources/spiffe.js";
import { FORWARDED_CERT_CHARS_MAX, FORWARDED_CERT_ELEMENTS_MAX } from "../../../limits/index.js";

/** One proxy's word on the client that it had. */
export interface ForwardedClient {
	/** URI names of the certificate that the proxy showed the client; none where that has none, as a public server's. */
	readonly by: readonly string[];
	/** SHA-256 of the client's certificate, hexadecimal. */
	readonly hash: string | null;
	/** The client's certificate and its chain, PEM, URL-encoded as they came. */
	readonly cert: string | null;
	readonly chain: string | null;
	readonly subject: string | null;
	/** URI names of the client's certificate. */
	readonly uri: readonly string[];
	readonly dns: readonly string[];
}

const SINGLE = ["hash", "cert", "chain", "subject"] as const;
const SEVERAL = ["by", "uri", "dns"] as const;
type Key = (typeof SINGLE)[number] | (typeof SEVERAL)[number];
const KEYS: ReadonlySet<string> = new Set([...SINGLE, ...SEVERAL]);

/**
 * All elements, the nearest proxy's last.
 * @param value one header's; several headers of this name are never joined
 * @returns null for what is not exactly of that form
 */
export function parseForwardedClientCert(value: string): readonly ForwardedClient[] | null {
	// Printable ASCII only: Envoy escapes the rest, and a control character here is somebody's attempt.
	if (value === "" || value.length > FORWARDED_CERT_CHARS_MAX || /[^\x20-\x7e]/.test(value)) return null;
	const found: ForwardedClient[] = [];
	let pairs = new Map<Key, string[]>();
	let at = 0;
	for (;;) {
		const equals = value.indexOf("=", at);
		const key = value.slice(at, equals).toLowerCase();
		if (equals === -1 || !isKey(key)) return null;
		const read = readValue(value, equals + 1);
		if (read === null) return null;
		const values = pairs.get(key);
		if (values === undefined) pairs.set(key, [read.text]);
		else if (isSeveral(key)) values.push(read.text);
		else return null;
		const separator = value[read.end];
		at = read.end + 1;
		if (separator === ";") continue;
		// The end, or a comma: an element is complete.
		if (found.length === FORWARDED_CERT_ELEMENTS_MAX) return null;
		found.push(elementOf(pairs));
		if (separator === undefined) return found;
		pairs = new Map();
	}
}

/** The client that a trusted proxy had. */
export interface VouchedClient {
	readonly spiffeId: string;
	/** SHA-256 of its certificate in DER, base64url as in x5t#S256 (RFC 8705 section 3.1); null = the proxy does not tell. */
	readonly certificateThumbprint: string | null;
}

/**
 * The client that the nearest proxy had, on that proxy's word.
 * @param values of all headers of that name
 * @param hop SPIFFE id that the connection's peer has proved (peerSpiffeId), null for none
 * @returns null where the hop is not trusted, where there is not one header of one client, where another proxy than the
 *   hop says it had the client, or where that has not exactly one URI name which is a SPIFFE id of the hop's own trust domain
 */
export function forwardedClient(
	values: readonly string[],
	hop: string | null,
	trustedHops: ReadonlySet<string>,
): VouchedClient | null {
	const [value, ...more] = values;
	if (hop === null || !trustedHops.has(hop) || value === undefined || more.length > 0) return null;
	const elements = parseForwardedClientCert(value);
	// SANITIZE_SET leaves one. With more of them the first ones are a stranger's.
	const [element, ...others] = elements ?? [];
	if (element === undefined || others.length > 0) return null;
	// Envoy and Istio write there whom the client spoke to. Another than the hop: it passes on what it was told itself.
	if (element.by.length > 0 && !element.by.includes(hop)) return null;
	const [uri, ...uris] = element.uri;
	if (uri === undefined || uris.length > 0 || spiffeFault(uri) !== null) return null;
	// The certificates of another trust domain are not this proxy's to vouch for. The hop's own is one that the Gateway takes:
	// TLS has let it in. So nobody comes through a proxy whose domain the Gateway names none of (`tls.trustDomains`, or the mesh's).
	if (trustDomainOf(uri) !== trustDomainOf(hop)) return null;
	const { hash } = element;
	// Envoy always tells it, and in no other form. A certificate itself (Cert) is not read: no two words on one thing.
	const told = hash !== null && /^[0-9a-f]{64}$/i.test(hash);
	return { spiffeId: uri, certificateThumbprint: told ? Buffer.from(hash, "hex").toString("base64url") : null };
}

function isKey(key: string): key is Key {
	return KEYS.has(key);
}

function isSeveral(key: Key): boolean {
	return (SEVERAL as readonly string[]).includes(key);
}

/** A value and the place after it, which is a separator or the end; null where it does not end there. */
function readValue(value: string, from: number): { readonly text: string; readonly end: number } | null {
	if (value[from] !== '"') {
		const end = from + value.slice(from).search(/[,;]|$/);
		const text = value.slice(from, end);
		// Envoy quotes those; a bare one has a different meaning to each reader.
		return /["=\\ ]/.test(text) ? null : { text, end };
	}
	let text = "";
	for (let at = from + 1; at < value.length; at++) {
		const char = value[at];
		if (char === '"') {
			const end = at + 1;
			return end === value.length || value[end] === "," || value[end] === ";" ? { text, end } : null;
		}
		if (char === "\\" && (value[at + 1] === '"' || value[at + 1] === "\\")) at++;
		text += value[at];
	}
	return null;
}

function elementOf(pairs: ReadonlyMap<Key, readonly string[]>): ForwardedClient {
	const one = (key: Key) => pairs.get(key)?.[0] ?? null;
	const all = (key: Key) => pairs.get(key) ?? [];
	return {
		by: all("by"),
		hash: one("hash"),
		cert: one("cert"),
		chain: one("chain"),
		subject: one("subject"),
		uri: all("uri"),
		dns: all("dns"),
	};
}
