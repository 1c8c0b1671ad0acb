/**
 * What `weir envoy` reports to ingest about its Envoy, by a new connection each time, beside the Envoy's own access log: entries
 * that the Envoy dropped, and that it has written everything.
 */

import { AGENT_REPORT_AGE_MAX_MS, AGENT_REPORT_BYTES_MAX } from "../../../limits/index.js";
import { flag, integer, object, orNull, text } from "../../../trust/clients/jsonShape.js";

export const ENVOY_REPORT_PATH = "/weir.v1.EnvoyKeeper/Tell";

/** Times are milliseconds ago: two machines' clocks differ. */
export interface EnvoyReport {
	readonly node: string;
	/** Which process of Envoy, as its node says (compiler/envoyInstance.ts): several may have one node's name, and id. */
	readonly instance: string;
	/** Entries that the Envoy dropped. */
	readonly dropped: { readonly entries: number; readonly sinceAgoMs: number } | null;
	/** The Envoy takes no more requests, and has written its access log. */
	readonly drained: boolean;
}

const report = object<EnvoyReport>({
	node: text,
	instance: text,
	dropped: orNull(object({ entries: integer(1), sinceAgoMs: integer(0, AGENT_REPORT_AGE_MAX_MS) })),
	drained: flag,
});

/** null = it is no report. */
export function readEnvoyReport(bytes: Buffer): EnvoyReport | null {
	if (bytes.length > AGENT_REPORT_BYTES_MAX) return null;
	try {
		return report(JSON.parse(bytes.toString("utf8")));
	} catch {
		return null;
	}
}
