/**
 * Who calls the API, as the door that the call came through proves it: never by what the call says of itself. The UNIX
 * socket lies in a 0700 directory and so belongs to the local owner; the TCP door takes a client certificate's SPIFFE
 * id or a verified token. Certificates and tokens are judged by ports: composition knows who is trusted.
 */
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { WeirError } from "../../error.js";
import { CALLER_SUBJECT_CHARS_MAX } from "../../limits/index.js";

export interface Caller {
	/** SPIFFE id, `ISSUER#SUB` of a verified token, or `local:USER` of the UNIX socket. */
	readonly subject: string;
	/** Of the verified token; empty for the others. */
	readonly groups: readonly string[];
	readonly how: "socket" | "mtls" | "oidc";
}

/** PEM. `ca`: who signs the certificates of callers. */
export interface ListenerTls {
	readonly key: string;
	readonly cert: string;
	readonly ca: string;
}

/** A verified operator, or why the token does not hold (for the audit log; never any of the token). */
export type OperatorToken =
	| { readonly subject: string; readonly groups: readonly string[] }
	| { readonly refused: string };

/** The door for callers who are not on this machine, or not its owner: HTTPS, never plain HTTP. */
export interface TcpListener {
	readonly address: string;
	/** 0 = any free port. */
	readonly port: number;
	readonly tls: ListenerTls;
	/**
	 * SPIFFE id of the caller's certificate; asked only where its chain holds. null = it has none that counts, or it
	 * passes on what somebody else asks: a proxy's certificate speaks for nobody.
	 */
	readonly peer: (request: IncomingMessage) => string | null;
	/** Names of the headers by which the request is one that a proxy passes on; null, or absent: none says so. */
	readonly passedOnBy?: (request: IncomingMessage) => string | null;
	/** Judges an Authorization header. Absent: client certificates are demanded in the handshake. Never rejects. */
	readonly tokens?: (authorization: string, request: IncomingMessage) => Promise<OperatorToken>;
}

/**
 * The caller of a request of the TCP door. A token that is present decides alone, and one that does not hold is refused
 * even beside a good certificate: whoever sends one means to act by it.
 * @param leftMs until the certificate ends with which the connection was opened: it was judged then, and lives longer
 * @throws WeirError `permission-denied` for nobody that is known.
 */
export async function callerOf(door: TcpListener, request: IncomingMessage, leftMs: number): Promise<Caller> {
	if (leftMs <= 0) throw unknown("the certificate that the connection was opened with has ended");
	const headers = request.rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === "authorization");
	const { authorization } = request.headers;
	if (authorization !== undefined) {
		if (headers.length !== 1) throw unknown("more than one Authorization header");
		if (door.tokens === undefined) throw unknown("the API takes no tokens");
		const answer = await door.tokens(authorization, request);
		if ("refused" in answer) throw unknown(answer.refused);
		return checked({ subject: answer.subject, groups: answer.groups, how: "oidc" });
	}
	const socket = request.socket as TLSSocket;
	const subject = socket.authorized ? door.peer(request) : null;
	if (subject === null) {
		const proxied = socket.authorized ? (door.passedOnBy?.(request) ?? null) : null;
		if (proxied === null) throw unknown("neither a token nor a client certificate with a SPIFFE id");
		throw unknown(
			`the request has ${proxied}, as one that a proxy passes on, whose certificate speaks for nobody`,
			`send it without ${proxied}, to control's own address`,
		);
	}
	return checked({ subject, groups: [], how: "mtls" });
}

/** A subject is compared, stored and printed as it stands: one line of whole characters, of bounded length. */
function checked(caller: Caller): Caller {
	const { subject } = caller;
	// What begins like the local owner's subject is nobody's over the network.
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
