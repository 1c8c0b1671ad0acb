/** One finished span, as the embedded store keeps it. */

export interface RecordedSpan {
	/** 32 and 16 lower-case hex digits. */
	readonly traceId: string;
	readonly spanId: string;
	readonly parentSpanId: string | null;
	/** `service.name` of the resource. */
	readonly service: string;
	readonly name: string;
	readonly kind: "internal" | "server" | "client" | "producer" | "consumer";
	/** Epoch microseconds: exact in a double until the year 2255. */
	readonly startUs: number;
	readonly durationUs: number;
	readonly status: "unset" | "ok" | "error";
	/** Only those allowed by attributePolicy.ts. */
	readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

/** Envoy's attribute for a request's x-request-id, also used in the predictor's spans. */
export const REQUEST_ID_ATTRIBUTE = "guid:x-request-id";
