/**
 * Detects the bypass probe (agent/sendProbe.ts), which is refused every few seconds and would fill the access record log. A
 * client could imitate it to test a stolen token, so the match is strict: the probe sends no token, and its headers are too
 * short for one.
 */

import { GUARDS, PROBE_REASONS, probeHeaders } from "../../../../compile/access/bypass/probe.js";
import { PROBE_PATH } from "../../../../compile/access/requests/canonical.js";
import type { AccessLogEntry } from "../accessLog/accessLogEntry.js";
import type { AccessRecord } from "./accessRecord.js";

/** An Envoy's agent sends the probe with that Envoy's identity. */
const PROBER = /^spiffe:\/\/[^/]+\/weir\/envoy\/[^/]+$/;

/** Checks method and path only. */
export function asksLikeProbe({ method, path }: Pick<AccessRecord, "method" | "path">): boolean {
	return method === "OPTIONS" && path === PROBE_PATH;
}

/** @param denial the entry's denial */
export function isOwnProbe(entry: AccessLogEntry, denial: AccessRecord): boolean {
	if (!asksLikeProbe(denial) || !PROBE_REASONS.has(denial.reason)) return false;
	const { principal, host, http1HeaderBytes: bytes } = entry;
	// Without an identity the Gateway requires no certificate, so the reason is another.
	if (principal !== null && !PROBER.test(principal)) return false;
	return bytes !== null && bytes > 0 && bytes <= OWN_BYTES + host.length;
}

/** Header bytes as sent by sendProbe.ts, without the host. */
const OWN_BYTES = Math.max(
	...GUARDS.map((guard) => {
		const headers = { host: "", connection: "close", ...probeHeaders(guard) };
		const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
		return [`OPTIONS ${PROBE_PATH} HTTP/1.1`, ...lines, "", ""].join("\r\n").length;
	}),
);
