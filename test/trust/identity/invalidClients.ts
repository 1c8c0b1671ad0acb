/** Clients with invalid credentials for a TLS server, on real sockets. */
import { type Socket, connect as tcp } from "node:net";
import { type ConnectionOptions, connect as tls } from "node:tls";
import type { HandshakeFault } from "../../../src/trust/tls/handshake.js";
import { createDevelopmentCa, type DevelopmentCa } from "./developmentCa.js";

export interface InvalidClient {
	readonly what: string;
	/** The expected fault; null = none, because the connection was only closed. */
	readonly fault: HandshakeFault | null;
	/** Connects, and resolves when the server has closed the connection. */
	readonly connect: (port: number) => Promise<void>;
}

const HOUR_MS = 3_600_000;

/** @param ca of the server. @param spiffeId that the server would accept */
export async function invalidClients(ca: DevelopmentCa, spiffeId: string): Promise<readonly InvalidClient[]> {
	const { trustDomain } = /^spiffe:\/\/(?<trustDomain>[^/]+)/.exec(spiffeId)?.groups ?? {};
	const foreign = await createDevelopmentCa({
		trustDomain: trustDomain ?? "",
		nowMs: Date.now() - 3 * HOUR_MS,
		lifetimeMs: 24 * HOUR_MS,
	});
	const past = { spiffeId, nowMs: Date.now() - 10_000, lifetimeMs: 5_000 };
	const [good, forged, ended, forgedEnded] = await Promise.all([
		ca.issue({ spiffeId }),
		foreign.issue({ spiffeId, nowMs: Date.now(), lifetimeMs: HOUR_MS }),
		ca.issue(past),
		foreign.issue(past),
	]);
	const shown = ({ certificate: cert, privateKey: key }: typeof good) => ({ cert, key });
	return [
		{ what: "a connection without a byte", fault: null, connect: (port) => send(port, null) },
		{ what: "half a handshake", fault: null, connect: (port) => send(port, Buffer.from("16030100ff01", "hex")) },
		{ what: "plain HTTP/1.1", fault: "tls", connect: (port) => send(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
		{ what: "plain HTTP/2", fault: "tls", connect: (port) => send(port, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") },
		{ what: "garbage", fault: "tls", connect: (port) => send(port, Buffer.alloc(64, 0xff)) },
		{ what: "TLS 1.2", fault: "tls", connect: (port) => handshake(port, { ...shown(good), maxVersion: "TLSv1.2" }) },
		{ what: "no certificate", fault: "no-certificate", connect: (port) => handshake(port, {}) },
		{
			what: "a certificate of another CA",
			fault: "untrusted-certificate",
			connect: (port) => handshake(port, shown(forged)),
		},
		{ what: "an expired certificate", fault: "certificate-ended", connect: (port) => handshake(port, shown(ended)) },
		{
			what: "a certificate of another CA that has ended",
			// OpenSSL reports only the last fault.
			fault: "certificate-ended",
			connect: (port) => handshake(port, shown(forgedEnded)),
		},
	];
}

const over = (socket: Socket): Promise<void> =>
	new Promise((resolve) => {
		socket.on("error", () => {});
		socket.once("close", () => resolve());
		socket.resume();
	});

/** @param bytes null = none; text is written whole, and the end cuts off an incomplete record */
function send(port: number, bytes: string | Buffer | null): Promise<void> {
	const socket = tcp({ port, host: "127.0.0.1" }, () => {
		if (bytes === null) socket.end();
		else if (typeof bytes === "string" || bytes.length > 16) socket.write(bytes);
		else socket.end(bytes);
	});
	return over(socket);
}

/** In TLS 1.3 the client ends its handshake before the server has verified its certificate: only the close shows the refusal. */
function handshake(port: number, options: ConnectionOptions): Promise<void> {
	return over(
		tls({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2", "http/1.1"], ...options }),
	);
}
