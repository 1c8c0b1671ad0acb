/**
 * Request smuggling and upgrades: two readers that see different requests in the same bytes. The second request, to
 * /admin as bob, must never be seen by the upstream.
 */
import type { Attack } from "../case.js";
import { latin1 } from "../wire.js";

const SMUGGLED = "GET /admin HTTP/1.1\r\nHost: guarded.test\r\nx-smuggled: 1\r\n\r\n";

/** POST to wide.test with these lines and what follows the head, and then a request that closes the connection. */
function smuggling(id: string, what: string, lines: readonly string[], body: string): Attack {
	const head = ["POST /first HTTP/1.1", "Host: wide.test", ...lines].join("\r\n");
	const last = "GET /last HTTP/1.1\r\nHost: wide.test\r\nConnection: close\r\n\r\n";
	return {
		id,
		what,
		bytes: latin1(`${head}\r\n\r\n${body}${last}`),
		status: [0, 200, 400, 403, 411, 501, 505],
		reach: Number.POSITIVE_INFINITY,
		wrong: (received) => {
			const found = received.find(
				({ url, headers }) => url.includes("admin") || headers.some(([name]) => name === "x-smuggled"),
			);
			return found === undefined ? null : `${found.method} ${found.url} got through`;
		},
	};
}

/** The codec must refuse the first request. */
const refusing = (id: string, what: string, lines: readonly string[], body: string): Attack => ({
	...smuggling(id, what, lines, body),
	status: [400, 501],
	reach: 0,
});

const chunked = (data: string): string => `${data.length.toString(16)}\r\n${data}\r\n0\r\n\r\n`;

export const SMUGGLING_ATTACKS: readonly Attack[] = [
	refusing(
		"T-cl-te",
		"Content-Length and Transfer-Encoding",
		["Content-Length: 4", "Transfer-Encoding: chunked"],
		`0\r\n\r\n${SMUGGLED}`,
	),
	refusing(
		"T-te-cl",
		"Transfer-Encoding and Content-Length",
		["Transfer-Encoding: chunked", `Content-Length: ${SMUGGLED.length}`],
		`0\r\n\r\n${SMUGGLED}`,
	),
	...[
		"xchunked",
		"chunked, identity",
		"identity, chunked",
		"chunked,chunked",
		"\x0bchunked",
		"chunked;q=1",
		"cow",
		'"chunked"',
		"chunke\xe4",
	].map((value) =>
		refusing(
			"T-te-variant",
			`Transfer-Encoding: ${JSON.stringify(value)}`,
			[`Transfer-Encoding: ${value}`],
			`0\r\n\r\n${SMUGGLED}`,
		),
	),
	refusing(
		"T-te-variant",
		"a blank before the colon of Transfer-Encoding",
		["Transfer-Encoding : chunked", "Content-Length: 5"],
		`0\r\n\r\n${SMUGGLED}`,
	),
	smuggling(
		"T-te-variant",
		"a folded line, which Envoy unfolds for both",
		["Transfer-Encoding:", " chunked"],
		`0\r\n\r\n${SMUGGLED}`,
	),
	smuggling("T-te-variant", "capitals and a tab", ["Transfer-Encoding:\tCHUNKED"], chunked(SMUGGLED)),
	refusing(
		"T-te-twice",
		"two Transfer-Encoding headers",
		["Transfer-Encoding: chunked", "Transfer-Encoding: cow"],
		`0\r\n\r\n${SMUGGLED}`,
	),
	refusing(
		"T-cl-twice",
		"two Content-Lengths that differ",
		["Content-Length: 0", `Content-Length: ${SMUGGLED.length}`],
		SMUGGLED,
	),
	smuggling(
		"T-cl-twice",
		"two equal Content-Lengths",
		[`Content-Length: ${SMUGGLED.length}`, `Content-Length: ${SMUGGLED.length}`],
		SMUGGLED,
	),
	refusing("T-cl-form", "a list as Content-Length", ["Content-Length: 0,5"], SMUGGLED),
	...["+5", "-1", "0x5", "5 5", "1e1", "99999999999999999999", "5\x0b", "٣"].map((value) =>
		refusing("T-cl-form", `Content-Length: ${JSON.stringify(value)}`, [`Content-Length: ${value}`], SMUGGLED),
	),
	smuggling(
		"T-chunk-extension",
		"a chunk extension with a line end inside quotes",
		["Transfer-Encoding: chunked"],
		`5;a="\r\n"\r\nhello\r\n0\r\n\r\n`,
	),
	smuggling("T-chunk-extension", "an extension with a bare LF", ["Transfer-Encoding: chunked"], `0;a\n\r\n${SMUGGLED}`),
	smuggling("T-chunk-size", "a size with a sign", ["Transfer-Encoding: chunked"], `+0\r\n\r\n${SMUGGLED}`),
	smuggling("T-chunk-size", "a size with 0x", ["Transfer-Encoding: chunked"], `0x0\r\n\r\n${SMUGGLED}`),
	smuggling(
		"T-chunk-size",
		"a size beyond 64 bits",
		["Transfer-Encoding: chunked"],
		`10000000000000000\r\n${SMUGGLED}`,
	),
	smuggling("T-chunk-end", "a chunk ended by LF alone", ["Transfer-Encoding: chunked"], `1\na\n0\n\n`),
	smuggling(
		"T-trailer",
		"a trailer that would be a header",
		["Transfer-Encoding: chunked"],
		"0\r\nHost: guarded.test\r\nAuthorization: Bearer x\r\nContent-Length: 9\r\n\r\n",
	),
	smuggling("T-bare-lf", "header lines ended by LF alone", ["a: b\nTransfer-Encoding: chunked"], `0\r\n\r\n`),
	smuggling("T-bare-cr", "a bare CR inside a line", ["a: b\rTransfer-Encoding: chunked"], `0\r\n\r\n`),
	smuggling("T-folding", "a folded header, which Envoy unfolds", ["x-any: a", "\tb"], ""),
	{
		...refusing("T-version", "a request of HTTP/0.9", [], ""),
		bytes: latin1("GET /admin\r\n\r\n"),
		status: [0, 400, 426],
	},
	smuggling("T-get-body", "a body on GET that is a request", ["X: y", "Content-Length: 0"], ""),
	{
		id: "CVE-2025-64763",
		what: "bytes behind an upgrade that is refused reach no upstream",
		bytes: latin1(
			`GET /socket HTTP/1.1\r\nHost: wide.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n${SMUGGLED}GET / HTTP/1.1\r\nHost: wide.test\r\nConnection: close\r\n\r\n`,
		),
		status: [403],
		reach: 1,
		wrong: (received) =>
			received.some(({ url }) => url !== "/") ? "the upgrade or what followed it got through" : null,
	},
	{
		id: "CVE-2025-64763",
		what: "bytes behind a CONNECT reach no upstream",
		bytes: latin1(`CONNECT wide.test:80 HTTP/1.1\r\nHost: wide.test:80\r\n\r\n${SMUGGLED}`),
		status: [400, 403, 404],
		reach: 0,
	},
	...["foo", "h2c", "TLS/1.0", "websocket, foo", "connect-udp"].map(
		(upgrade): Attack => ({
			id: "CVE-2026-73548",
			what: `Upgrade: ${upgrade} does not become the upstream's connection`,
			bytes: latin1(
				`GET /up HTTP/1.1\r\nHost: wide.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${upgrade}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nGET /last HTTP/1.1\r\nHost: wide.test\r\nConnection: close\r\n\r\n`,
			),
			status: [200, 400, 403, 404],
			reach: 2,
			wrong: (received) =>
				received.some(({ headers }) => headers.some(([name]) => name === "upgrade" || name === "http2-settings"))
					? "the upstream was asked to upgrade"
					: null,
		}),
	),
];
