/** Sends one request of the bypass probe through a listener of this machine's Envoy. */
import { request as plainRequest } from "node:http";
import { type RequestOptions, request as tlsRequest } from "node:https";
import { type Guard, type ProbeAnswer, probeHeaders } from "../../compile/access/bypass/probe.js";
import { PROBE_PATH } from "../../compile/access/requests/canonical.js";
import { WeirError } from "../../error.js";
import type { Bound } from "./envoyAdmin.js";

/** Timeout of one probe, which is local. */
const PROBE_TIMEOUT_MS = 5_000;

/** Longest response that a probe accepts as a denial of Weir. */
const PROBE_ANSWER_CHARS_MAX = 1_024;

export type ProbeTls = Pick<
	RequestOptions,
	"ca" | "cert" | "key" | "servername" | "checkServerIdentity" | "rejectUnauthorized"
>;

/** Never rejects. @param tls null = plain text; a function, so that a rotated certificate is used */
export function sendProbe(at: Bound, tls: (() => ProbeTls) | null, host: string, guard: Guard): Promise<ProbeAnswer> {
	return new Promise((resolve) => {
		const unanswered = (error: unknown): void => resolve({ status: null, body: "", why: whyOf(error) });
		const options = {
			host: at.address,
			port: at.port,
			method: "OPTIONS",
			path: PROBE_PATH,
			headers: { host, connection: "close", ...probeHeaders(guard) },
			agent: false,
			timeout: PROBE_TIMEOUT_MS,
		} as const;
		try {
			const call = tls === null ? plainRequest(options) : tlsRequest({ ...options, ...tls() });
			call.on("timeout", () => call.destroy(new Error("no answer in time")));
			call.on("error", unanswered);
			call.on("response", (response) => {
				const status = response.statusCode ?? null;
				let body = "";
				response.setEncoding("latin1").on("data", (part: string) => {
					body += part;
					if (body.length <= PROBE_ANSWER_CHARS_MAX) return;
					// Weir's denials are shorter.
					call.destroy();
					resolve({ status, body: "" });
				});
				response.on("end", () => resolve({ status, body }));
				response.on("error", unanswered);
			});
			call.end();
		} catch (error) {
			// The identity has expired, or the host is not valid in a header.
			unanswered(error);
		}
	});
}

function whyOf(error: unknown): string {
	if (error instanceof WeirError) return error.message;
	const { code = "", message } = error as NodeJS.ErrnoException;
	return [code, message].filter(Boolean).join(": ").slice(0, 200);
}
