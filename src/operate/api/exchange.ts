/** One HTTP request of a client and its JSON answer; errors of the owner come back as the WeirError they were. */
import { lstatSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { dirname } from "node:path";
import { type ErrorCode, HTTP_STATUS, WeirError } from "../../error.js";
import { requireOwnersFolder } from "../../trust/local/socket.js";

/** Where the API is, and what the caller shows there. */
export type ApiPlace =
	| { readonly socketPath: string }
	| { readonly host: string; readonly port: number; readonly tls?: ClientTls };

/** PEM: whom the client believes, and its own certificate, if it has one. */
export interface ClientTls {
	readonly ca?: string;
	readonly cert?: string;
	readonly key?: string;
	/**
	 * The server shows an SVID, which has no DNS name: its SPIFFE id must be this one. Absent: the usual check of the
	 * host name.
	 */
	readonly server?: string;
}

export interface Exchange {
	readonly at: ApiPlace;
	/** Sent as `Authorization: Bearer`. */
	readonly token?: string | null;
	readonly method: string;
	readonly path: string;
	readonly body: { readonly contentType: string; readonly text: string } | null;
	/** From the start to the last byte of the answer. */
	readonly timeoutMs: number;
	/** Where to look after that. */
	readonly lateHint?: string;
	/** Any status is an answer: what is not control's own need not be JSON. */
	readonly anyStatus?: boolean;
}

export interface ExchangeAnswer {
	readonly status: number;
	/** The body as it came. */
	readonly text: string;
	/** The body parsed; null where it is not JSON. */
	readonly json: unknown;
}

/**
 * @throws WeirError the owner's own error; `unavailable` where nobody answers; `deadline-exceeded` after
 * `timeoutMs`. An answer with `problems` in it is no error here.
 */
export async function exchange(call: Exchange): Promise<ExchangeAnswer> {
	const where = authority(call.at);
	if ("socketPath" in call.at) requireOwnersSocket(call.at.socketPath);
	return new Promise((resolve, reject) => {
		const body = call.body === null ? null : Buffer.from(call.body.text);
		// No kept connection: a request on one that its owner just closed would fail without having been tried.
		const tls = "host" in call.at ? call.at.tls : undefined;
		const { tls: _, ...place } = "host" in call.at ? call.at : { ...call.at, tls: undefined };
		const sent = (tls === undefined ? httpRequest : httpsRequest)({
			...place,
			...(tls === undefined ? {} : tlsOptions(tls)),
			agent: false,
			method: call.method,
			path: call.path,
			headers: {
				host: "socketPath" in call.at ? "localhost" : where,
				...(call.token == null ? {} : { authorization: `Bearer ${call.token}` }),
				...(call.body === null || body === null
					? {}
					: { "content-type": call.body.contentType, "content-length": body.length }),
			},
		});
		const timer = setTimeout(() => {
			const message = `control's api role at ${where} gave no answer in time`;
			sent.destroy(new WeirError("deadline-exceeded", message, call.lateHint));
		}, call.timeoutMs);
		const fail = (error: Error): void => {
			clearTimeout(timer);
			reject(error instanceof WeirError ? error : unanswered(where, tls, error));
		};
		sent.on("error", fail);
		sent.on("response", (response) => {
			const chunks: Buffer[] = [];
			response.on("data", (chunk: Buffer) => chunks.push(chunk));
			response.on("error", fail);
			response.on("end", () => {
				clearTimeout(timer);
				const text = Buffer.concat(chunks).toString("utf8");
				const status = response.statusCode ?? 0;
				const json = parseJson(text);
				const error = status < 400 || call.anyStatus === true ? null : ownersError(json, status);
				if (error === null) resolve({ status, text, json });
				else reject(error);
			});
		});
		sent.end(body ?? undefined);
	});
}

/** What is missing is said first: the folder of a mistyped path may be anybody's. */
function requireOwnersSocket(path: string): void {
	if (lstatSync(path, { throwIfNoEntry: false }) === undefined)
		throw new WeirError("unavailable", `there is no socket ${path}`, "is weir control (or weir up) running?");
	requireOwnersFolder(dirname(path));
}

/** Why there was no answer, and what to do about it: where one side does not believe the other, control does run. */
function unanswered(
	where: string,
	tls: ClientTls | undefined,
	error: NodeJS.ErrnoException & { readonly reason?: string },
): WeirError {
	const { code = "", reason = error.message } = error;
	const isUnbelieved = error instanceof NotBelieved || UNBELIEVED.test(code);
	const message = `control's api role at ${where} ${isUnbelieved ? "is not believed" : "does not answer"}: ${reason}`;
	const running = "is weir control (or weir up) running?";
	const identity = "say who you are with --identity SOCKET, or by WEIR_API_CERT and WEIR_API_KEY";
	const hint = isUnbelieved
		? "say whom you believe, and who you are, with --identity SOCKET, or by WEIR_API_CA, WEIR_API_SERVER, WEIR_API_CERT and WEIR_API_KEY"
		: tls !== undefined && (REFUSED_CERTIFICATE.test(code) || CUT.has(code))
			? `it may want a certificate, or not take this one: ${identity}; ${running}`
			: running;
	return new WeirError("unavailable", message, hint, { cause: error });
}

/** Node's codes of a certificate that does not hold: OpenSSL's of X509_V_ERR, and of the server's name. */
const UNBELIEVED =
	/^(SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY_LEAF)|CERT_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME_MISMATCH|ERR_TLS_CERT_ALTNAME)/;
/** Alerts of TLS about the client's. */
const REFUSED_CERTIFICATE = /^ERR_SSL_.*(CERTIFICATE|UNKNOWN_CA)/;
/** By which Node ends a connection whose certificate it does not take. */
const CUT: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE"]);

class NotBelieved extends Error {}

function tlsOptions({ server, ...own }: ClientTls) {
	if (server === undefined) return { ...own, minVersion: "TLSv1.2" as const };
	const checkServerIdentity = (_: string, { subjectaltname }: { readonly subjectaltname?: string }) =>
		subjectaltname === `URI:${server}`
			? undefined
			: new NotBelieved(`the server's certificate is not that of ${server}`);
	return { ...own, minVersion: "TLSv1.2" as const, checkServerIdentity };
}

/** The socket's path, or host:port with an IPv6 address in brackets (RFC 3986, 3.2.2). */
function authority(at: Exchange["at"]): string {
	if ("socketPath" in at) return at.socketPath;
	return `${at.host.includes(":") ? `[${at.host}]` : at.host}:${at.port}`;
}

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}

/** null: a refusal with `problems`, which the caller reads. */
function ownersError(json: unknown, status: number): WeirError | null {
	if (typeof json === "object" && json !== null) {
		if ("problems" in json) return null;
		const error = "error" in json ? (json.error as { code?: unknown; message?: unknown; hint?: unknown }) : {};
		if (typeof error.code === "string" && Object.hasOwn(HTTP_STATUS, error.code)) {
			return new WeirError(error.code as ErrorCode, String(error.message), String(error.hint ?? ""));
		}
	}
	return new WeirError("unavailable", `control's api role answered HTTP ${status}`);
}
