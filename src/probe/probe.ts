/** One built-in probe through a listener: a request that every policy denies. */
import { type OutgoingHttpHeaders, request as plainRequest } from "node:http";
import { type RequestOptions, request as tlsRequest } from "node:https";
import { type Guard, probeHeaders } from "../access/bypass/probe.js";
import type { ProbeAnswer } from "../access/bypass/reach.js";
import { PROBE_PATH } from "../access/requests/canonical.js";
import { WeirError } from "../error.js";
import { PROBE_ANSWER_BYTES_MAX, PROBE_TIMEOUT_MS } from "../limits.js";

export type ProbeTls = Pick<
	RequestOptions,
	"ca" | "cert" | "key" | "servername" | "checkServerIdentity" | "rejectUnauthorized"
>;

/** Where a listener is. */
export interface ProbeTarget {
	readonly address: string;
	readonly port: number;
	/** Asked at each connection, so that a rotated certificate is used; null = no TLS. */
	readonly tls: (() => ProbeTls) | null;
}

/** One probe. Never rejects. */
export function probe(target: ProbeTarget, host: string, guard: Guard): Promise<ProbeAnswer> {
	return new Promise((resolve) => {
		const result = (status: number | null, body: string): void => resolve({ status, body });
		const unanswered = (error: unknown): void => resolve({ status: null, body: "", why: whyOf(error) });
		const headers: OutgoingHttpHeaders = { host, connection: "close", ...probeHeaders(guard) };
		const options = {
			host: target.address,
			port: target.port,
			method: "OPTIONS",
			path: PROBE_PATH,
			headers,
			agent: false,
			timeout: PROBE_TIMEOUT_MS,
		} as const;
		try {
			const call = target.tls === null ? plainRequest(options) : tlsRequest({ ...options, ...target.tls() });
			call.on("timeout", () => call.destroy(new Error("no answer in time")));
			call.on("error", unanswered);
			call.on("response", (response) => {
				let body = "";
				response.setEncoding("latin1").on("data", (part: string) => {
					body += part;
					if (body.length <= PROBE_ANSWER_BYTES_MAX) return;
					call.destroy();
					result(response.statusCode ?? null, "");
				});
				response.on("end", () => result(response.statusCode ?? null, body));
				response.on("error", () => result(null, ""));
			});
			call.end();
		} catch (error) {
			// Certificates that cannot be had, or a host that is none.
			unanswered(error);
		}
	});
}

/** TLS has them where a certificate's time and the clock are apart. */
const CLOCK_CODES = new Set(["CERT_NOT_YET_VALID", "CERT_HAS_EXPIRED"]);

/** Code, message, and what to do, in one line. */
function whyOf(error: unknown): string {
	if (error instanceof WeirError) return [`${error.code}: ${error.message}`, error.hint].filter(Boolean).join("; ");
	const { code = "", message } = error as NodeJS.ErrnoException;
	const hint = CLOCK_CODES.has(code) ? "; was the clock set, and does whoever issues identities run?" : "";
	return `${[code, message].filter(Boolean).join(": ")}${hint}`;
}
