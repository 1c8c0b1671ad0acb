/** One HTTP request to the API and its JSON answer; errors of the server are thrown as the same WeirError. */
import { lstatSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { dirname } from "node:path";
import { type ErrorCode, HTTP_STATUS, WeirError } from "../../error.js";
import { requireOwnersFolder } from "../../trust/local/socket.js";

/** The address of the API, and TLS for it. */
export type ApiPlace =
	| { readonly socketPath: string }
	| { readonly host: string; readonly port: number; readonly tls?: ClientTls };

/** PEM: the trusted CA, and the client's own certificate, if any. */
export interface ClientTls {
	readonly ca?: string;
	readonly cert?: string;
	readonly key?: string;
	/** Required SPIFFE id of the server, whose SVID has no DNS name. Absent: the host name is verified. */
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
	/** Hint of the timeout error. */
	readonly lateHint?: string;
	/** Any status resolves, for answers that may not be JSON. */
	readonly anyStatus?: boolean;
}

export interface ExchangeAnswer {
	readonly status: number;
	/** The raw body. */
	readonly text: string;
	/** The parsed body; null if it is not JSON. */
	readonly json: unknown;
}

/**
 * @throws WeirError the server's error; `unavailable` if it does not answer; `deadline-exceeded` after `timeoutMs`. An
 * answer with `problems` is not an error here.
 */
export async function exchange(call: Exchange): Promise<ExchangeAnswer> {
	const where = authority(call.at);
	if ("socketPath" in call.at) requireOwnersSocket(call.at.socketPath);
	return new Promise((resolve, reject) => {
		const body = call.body === null ? null : Buffer.from(call.body.text);
		// No keep-alive: a request on a connection that the server just closed would fail.
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
			const message = `control at ${where} gave no answer in time`;
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
				const error = status < 400 || call.anyStatus === true ? null : serverError(json, status);
				if (error === null) resolve({ status, text, json });
				else reject(error);
			});
		});
		sent.end(body ?? undefined);
	});
}

/** A missing socket is reported first: the folder of a mistyped path may belong to another user. */
function requireOwnersSocket(path: string): void {
	if (lstatSync(path, { throwIfNoEntry: false }) === undefined)
		throw new WeirError("unavailable", `there is no socket ${path}`, "is weir control (or weir up) running?");
	requireOwnersFolder(dirname(path));
}

/** The error of an unanswered request. A TLS failure means that control does run, so its hint differs. */
function unanswered(
	where: string,
	tls: ClientTls | undefined,
	error: NodeJS.ErrnoException & { readonly reason?: string },
): WeirError {
	const { code = "", reason = error.message } = error;
	const isUntrusted = error instanceof UntrustedServer || UNTRUSTED.test(code);
	const message = `control at ${where} ${isUntrusted ? "is not believed" : "does not answer"}: ${reason}`;
	const running = "is weir control (or weir up) running?";
	const identity = "name your identity with --identity SOCKET, or by WEIR_API_CERT and WEIR_API_KEY";
	const hint = isUntrusted
		? "name a trusted CA and your own identity with --identity SOCKET, or by WEIR_API_CA, WEIR_API_SERVER, WEIR_API_CERT and WEIR_API_KEY"
		: tls !== undefined && (REFUSED_CERTIFICATE.test(code) || CUT.has(code))
			? `it may want a certificate, or not take this one: ${identity}; ${running}`
			: running;
	return new WeirError("unavailable", message, hint, { cause: error });
}

/** Node's codes for an invalid server certificate: OpenSSL's X509_V_ERR, and the server's name. */
const UNTRUSTED =
	/^(SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY_LEAF)|CERT_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME_MISMATCH|ERR_TLS_CERT_ALTNAME)/;
/** TLS alerts about the client's certificate. */
const REFUSED_CERTIFICATE = /^ERR_SSL_.*(CERTIFICATE|UNKNOWN_CA)/;
/** Node's codes for a connection that the server closed on the client's certificate. */
const CUT: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE"]);

class UntrustedServer extends Error {}

function tlsOptions({ server, ...own }: ClientTls) {
	if (server === undefined) return { ...own, minVersion: "TLSv1.2" as const };
	const checkServerIdentity = (_: string, { subjectaltname }: { readonly subjectaltname?: string }) =>
		subjectaltname === `URI:${server}`
			? undefined
			: new UntrustedServer(`the server's certificate is not that of ${server}`);
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

/** null = a refusal with `problems`, for the caller to read. */
function serverError(json: unknown, status: number): WeirError | null {
	if (typeof json === "object" && json !== null) {
		if ("problems" in json) return null;
		const error = "error" in json ? (json.error as { code?: unknown; message?: unknown; hint?: unknown }) : {};
		if (typeof error.code === "string" && Object.hasOwn(HTTP_STATUS, error.code)) {
			return new WeirError(error.code as ErrorCode, String(error.message), String(error.hint ?? ""));
		}
	}
	return new WeirError("unavailable", `control answered HTTP ${status}`);
}
