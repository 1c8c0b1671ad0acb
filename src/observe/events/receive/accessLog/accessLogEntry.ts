/** One access-log entry as a flat record; entryDecoder.ts reads it from the bytes. */
import type { SidecarAnswer } from "./sidecarAnswer.js";

/** The fields of one HTTPAccessLogEntry that Weir uses. Texts are latin1, one character a byte; times are by Envoy's clock. */
export interface AccessLogEntry {
	/**
	 * envoy.data.accesslog.v3.AccessLogType: DownstreamStart = 4, DownstreamPeriodic = 5, DownstreamEnd = 6,
	 * UpstreamPoolReady = 7 (sent upstream; one for each attempt); others are not used. A start entry is written before the
	 * filters, so it lacks their headers and metadata. An attempt's entry has no metadata either.
	 */
	readonly kind: "start" | "sent" | "periodic" | "end" | "other";
	readonly routeName: string;
	/** `upstream_cluster`, empty where no cluster was chosen. */
	readonly cluster: string;
	/** `x-request-id`, else Envoy's stream id. Empty = missing, or not made by Envoy (hasEnvoysId). */
	readonly requestId: string;
	/**
	 * Epoch microseconds; the same in all entries of a request except an attempt's, which has its own. Not validated here
	 * (see entryFault.ts).
	 */
	readonly startUs: number;
	readonly durationMs: number;
	/** HTTP status sent downstream; 0 = none. */
	readonly status: number;
	/** Set response flags, bit n for field n of ResponseFlags. */
	readonly flags: number;
	/** `response_code_details`: where the answer came from, e.g. `via_upstream`; empty = no answer. */
	readonly codeDetails: string;
	/** Whether the router, which runs after all filters, began to send it to an upstream. */
	readonly sentOn: boolean;
	/** SPIFFE id: the only URI SAN of the peer certificate; null = none, or several. */
	readonly principal: string | null;
	/** Empty except in an end entry. */
	readonly host: string;
	/** null = a method that Envoy's enumeration lacks. */
	readonly method: string | null;
	/** After Envoy's normalisation, without the query, which may hold anything. Empty except in an end entry. */
	readonly path: string;
	/** Request headers in Envoy's log configuration, by lower-case name. */
	readonly headers: ReadonlyMap<string, string>;
	/** Size of the request's headers over HTTP/1.1; null = another version, or unknown. */
	readonly http1HeaderBytes: number | null;
	/** Metadata texts of Envoy's RBAC filters; null = none of them saw the request. */
	readonly rbac: ReadonlyMap<string, string> | null;
	/** null = the sidecar was not called, or did not answer. */
	readonly sidecar: SidecarAnswer | null;
	/** The message of the entry, and the entry's position in it. */
	readonly message: Buffer;
	readonly at: number;
	readonly end: number;
}

/** An access-log entry as received. */
export interface Heard {
	readonly entry: AccessLogEntry;
	/** When its message arrived, by the store's clock. */
	readonly receivedMs: number;
	/** Gateway named by its stream; null = none. */
	readonly gateway: string | null;
}
