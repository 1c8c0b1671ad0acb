/**
 * Parses x-forwarded-client-cert as Envoy writes it: one element per proxy, separated by commas; in each, pairs
 * separated by semicolons; a value with `,` `;` or `=` is in double quotes, where `\"` is a quote (envoyproxy/envoy
 * docs, "x-forwarded-client-cert"). An ambiguous header is refused as a whole. Any client can send it: it counts only
 * from an authenticated trusted proxy.
 */

import { spiffeFault, trustDomainOf } from "../../../declare/resources/spiffe.js";

/** Length of x-forwarded-client-cert: a URL-encoded certificate of a few KiB; all headers have at most 60 KiB. */
const FORWARDED_CERT_CHARS_MAX = 64 * 1024;

/** Hops in x-forwarded-client-cert: one per proxy. */
const FORWARDED_CERT_ELEMENTS_MAX = 16;

/** The client of one proxy, as that proxy reports it. */
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
 * @returns null for any other form
 */
export function parseForwardedClientCert(value: string): readonly ForwardedClient[] | null {
	// Printable ASCII only: Envoy escapes the rest, so a control character is an attack.
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

/** The client of a trusted proxy. */
export interface VouchedClient {
	readonly spiffeId: string;
	/** SHA-256 of its certificate in DER, base64url as in x5t#S256 (RFC 8705 section 3.1); null = not reported. */
	readonly certificateThumbprint: string | null;
}

/**
 * The client of the nearest proxy, as that proxy reports it.
 * @param values of all headers of that name
 * @param hop authenticated SPIFFE id of the connection's peer (peerSpiffeId), null for none
 * @returns null if the hop is not trusted, if there is not one header of one client, if the header is of another proxy,
 * or if the client has not exactly one URI name which is a SPIFFE id of the hop's own trust domain
 */
export function forwardedClient(
	values: readonly string[],
	hop: string | null,
	trustedHops: ReadonlySet<string>,
): VouchedClient | null {
	const [value, ...more] = values;
	if (hop === null || !trustedHops.has(hop) || value === undefined || more.length > 0) return null;
	const elements = parseForwardedClientCert(value);
	// SANITIZE_SET leaves one. Of several, the first ones are unauthenticated.
	const [element, ...others] = elements ?? [];
	if (element === undefined || others.length > 0) return null;
	// Envoy and Istio write the proxy's own id there. Another one: the element was only passed on.
	if (element.by.length > 0 && !element.by.includes(hop)) return null;
	const [uri, ...uris] = element.uri;
	if (uri === undefined || uris.length > 0 || spiffeFault(uri) !== null) return null;
	// A proxy cannot vouch for another trust domain. Its own one is in `tls.trustDomains` or the mesh's, as TLS has checked.
	if (trustDomainOf(uri) !== trustDomainOf(hop)) return null;
	const { hash } = element;
	// Envoy always sends it in this form. The certificate (Cert) is not read, to have one source.
	const isHash = hash !== null && /^[0-9a-f]{64}$/i.test(hash);
	return { spiffeId: uri, certificateThumbprint: isHash ? Buffer.from(hash, "hex").toString("base64url") : null };
}

function isKey(key: string): key is Key {
	return KEYS.has(key);
}

function isSeveral(key: Key): boolean {
	return (SEVERAL as readonly string[]).includes(key);
}

/** A value and the position after it, a separator or the end; null for any other character there. */
function readValue(value: string, from: number): { readonly text: string; readonly end: number } | null {
	if (value[from] !== '"') {
		const end = from + value.slice(from).search(/[,;]|$/);
		const text = value.slice(from, end);
		// Envoy quotes those; parsers disagree about unquoted ones.
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
