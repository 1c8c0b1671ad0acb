/**
 * The authenticated caller of the API. The UNIX socket is in a 0700 directory, so its caller is the local owner. The TCP
 * listener accepts a SPIFFE id of a client certificate, or a verified token; ports check both.
 */
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { WeirError } from "../../error.js";
import { CALLER_SUBJECT_CHARS_MAX } from "../../limits/index.js";
import type { Caller } from "../callers/caller.js";

/** PEM. `ca` signs the certificates of callers. */
export interface ListenerTls {
	readonly key: string;
	readonly cert: string;
	readonly ca: string;
}

/** A verified operator, or why the token is invalid (for the audit log; never any part of the token). */
export type OperatorToken =
	| { readonly subject: string; readonly groups: readonly string[] }
	| { readonly refused: string };

/** The listener for callers other than the local owner: HTTPS, never plain HTTP. */
export interface TcpListener {
	readonly address: string;
	/** 0 = any free port. */
	readonly port: number;
	readonly tls: ListenerTls;
	/**
	 * SPIFFE id of the caller's certificate; called only for a valid chain. null = no usable id, or the request was
	 * forwarded: a proxy's certificate does not identify the caller.
	 */
	readonly peer: (request: IncomingMessage) => string | null;
	/** Names of the headers that show that a proxy forwarded the request; null or absent: not forwarded. */
	readonly passedOnBy?: (request: IncomingMessage) => string | null;
	/** Verifies an Authorization header. Absent: the handshake requires a client certificate. Never rejects. */
	readonly tokens?: (authorization: string, request: IncomingMessage) => Promise<OperatorToken>;
}

/**
 * The caller of a request on the TCP listener. A token takes precedence over the certificate, so an invalid token is
 * refused even with a valid certificate.
 * @param leftMs until the connection's certificate expires: it was verified when the connection was opened
 * @throws WeirError `permission-denied` for an unauthenticated caller
 */
export async function callerOf(listener: TcpListener, request: IncomingMessage, leftMs: number): Promise<Caller> {
	if (leftMs <= 0) throw unknown("the certificate that the connection was opened with has ended");
	const headers = request.rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === "authorization");
	const { authorization } = request.headers;
	if (authorization !== undefined) {
		if (headers.length !== 1) throw unknown("more than one Authorization header");
		if (listener.tokens === undefined) throw unknown("the API takes no tokens");
		const answer = await listener.tokens(authorization, request);
		if ("refused" in answer) throw unknown(answer.refused);
		return checked({ subject: answer.subject, groups: answer.groups, how: "oidc" });
	}
	const socket = request.socket as TLSSocket;
	const subject = socket.authorized ? listener.peer(request) : null;
	if (subject === null) {
		const proxied = socket.authorized ? (listener.passedOnBy?.(request) ?? null) : null;
		if (proxied === null) throw unknown("neither a token nor a client certificate with a SPIFFE id");
		throw unknown(
			`the request has ${proxied}, as one that a proxy passes on, whose certificate does not identify the client`,
			`send it without ${proxied}, to control's own address`,
		);
	}
	return checked({ subject, groups: [], how: "mtls" });
}

/** Subjects are stored and printed unchanged, so each must be one line of bounded length. */
function checked(caller: Caller): Caller {
	const { subject } = caller;
	// The prefix of the local owner is invalid over the network.
	if (
		subject === "" ||
		subject.length > CALLER_SUBJECT_CHARS_MAX ||
		/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(subject) ||
		subject.startsWith("local:")
	) {
		throw unknown("a subject that cannot be recorded");
	}
	return caller;
}

const SHOW = "show a client certificate (WEIR_API_CERT, WEIR_API_KEY) or a token (WEIR_API_TOKEN_FILE)";

function unknown(why: string, hint = SHOW): WeirError {
	return new WeirError("permission-denied", `the API does not know who calls: ${why}`, hint);
}
