/**
 * Reports of `weir envoy` to ingest, each on a new connection: entries that its Envoy dropped, and that the Envoy has
 * written its whole access log.
 */

import { flag, integer, object, orNull, text } from "../../../../trust/clients/jsonShape.js";

/** Size of one report of `weir envoy`, and the greatest age of its entries: a month. */
const AGENT_REPORT_BYTES_MAX = 4_096;
export const AGENT_REPORT_AGE_MAX_MS = 31 * 24 * 60 * 60 * 1000;

export const ENVOY_REPORT_PATH = "/weir.v1.EnvoyAgent/Report";

/** Times are milliseconds ago: two machines' clocks differ. */
export interface EnvoyReport {
	readonly node: string;
	/** Envoy process, as in its node (compile/envoy/envoyInstance.ts): several may share one node name and id. */
	readonly instance: string;
	/** Entries that the Envoy dropped. */
	readonly dropped: { readonly entries: number; readonly sinceAgoMs: number } | null;
	/** The Envoy accepts no more requests, and has written its access log. */
	readonly drained: boolean;
}

const report = object<EnvoyReport>({
	node: text,
	instance: text,
	dropped: orNull(object({ entries: integer(1), sinceAgoMs: integer(0, AGENT_REPORT_AGE_MAX_MS) })),
	drained: flag,
});

/** null = not a valid report. */
export function readEnvoyReport(bytes: Buffer): EnvoyReport | null {
	if (bytes.length > AGENT_REPORT_BYTES_MAX) return null;
	try {
		return report(JSON.parse(bytes.toString("utf8")));
	} catch {
		return null;
	}
}
