/**
 * The bypass probe (probe/sendProbe.ts) in the access log: it asks every few seconds to be refused, and would fill the
 * decision log. Anybody may ask as it does, and hear whether a stolen token is any good: so only what the probe itself
 * can be is taken for it. It shows no token, and its headers have no room for one.
 */

import { GUARDS, PROBE_REASONS, probeHeaders } from "../../../compile/access/bypass/probe.js";
import { PROBE_PATH } from "../../../compile/access/requests/canonical.js";
import type { DecisionRecord } from "../decisions/decisionRecord.js";
import type { AccessLogEntry } from "./accessLogEntry.js";

/** The agent of an Envoy sends it with that Envoy's identity. */
const PROBER = /^spiffe:\/\/[^/]+\/weir\/envoy\/[^/]+$/;

/** By its form alone. */
export function asksLikeProbe({ method, path }: Pick<DecisionRecord, "method" | "path">): boolean {
	return method === "OPTIONS" && path === PROBE_PATH;
}

/** @param denial what the entry comes to */
export function isOwnProbe(entry: AccessLogEntry, denial: DecisionRecord): boolean {
	if (!asksLikeProbe(denial) || !PROBE_REASONS.has(denial.reason)) return false;
	const { principal, host, http1HeaderBytes: bytes } = entry;
	// Without one the Gateway asks nobody for a certificate: else the reason is another.
	if (principal !== null && !PROBER.test(principal)) return false;
	return bytes !== null && bytes > 0 && bytes <= OWN_BYTES + host.length;
}

/** As sendProbe.ts writes it, without the host. */
const OWN_BYTES = Math.max(
	...GUARDS.map((guard) => {
		const headers = { host: "", connection: "close", ...probeHeaders(guard) };
		const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
		return [`OPTIONS ${PROBE_PATH} HTTP/1.1`, ...lines, "", ""].join("\r\n").length;
	}),
);
