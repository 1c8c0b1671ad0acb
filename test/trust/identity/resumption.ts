/** Resumption of a TLS session without the certificate that opened it. */
import { type ConnectionOptions, connect, type SecureVersion } from "node:tls";

/** The result of one connection. */
export interface Visit {
	readonly reused: boolean;
	/** First line of the server's bytes; "" = nothing. */
	readonly received: string;
	/** The last session from the server, for use on another connection; null = none. */
	readonly session: Buffer | null;
}

/** The connection preface of HTTP/2 (RFC 9113 3.4), which any server answers with its settings. */
const HTTP2 = Buffer.concat([
	Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);

/** Opens a connection and sends first; ends when the server has sent bytes or has closed. */
export function visit(port: number, options: ConnectionOptions, host = "-"): Promise<Visit> {
	return new Promise((resolve) => {
		let session: Buffer | null = null;
		let reused = false;
		const socket = connect({ host: "127.0.0.1", port, checkServerIdentity: () => undefined, ...options });
		const done = (received: string): void => {
			socket.destroy();
			resolve({ reused, received, session });
		};
		socket.on("session", (given: Buffer) => {
			session = given;
		});
		socket.once("secureConnect", () => {
			reused = socket.isSessionReused();
			socket.write(
				socket.alpnProtocol === "h2" ? HTTP2 : `GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
			);
		});
		// Tickets come before the data.
		socket.once("data", (bytes) => done(socket.alpnProtocol === "h2" ? "h2" : (String(bytes).split("\r\n")[0] ?? "")));
		socket.on("error", () => {});
		socket.once("close", () => done(""));
	});
}

/** One connection with the certificate, and one with only the session of the first. */
export async function byItsSession(
	port: number,
	{ cert, key, ...others }: ConnectionOptions,
	{ host = "-", version }: { host?: string; version?: SecureVersion } = {},
): Promise<{ readonly first: Visit; readonly second: Visit }> {
	const options = { ...others, ...(version === undefined ? {} : { minVersion: version, maxVersion: version }) };
	const first = await visit(port, { ...options, ...(cert && key ? { cert, key } : {}) }, host);
	const shown = first.session === null ? {} : { session: first.session };
	return { first, second: await visit(port, { ...options, ...shown }, host) };
}
