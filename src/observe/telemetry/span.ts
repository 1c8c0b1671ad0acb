/** The word of this room: one finished span, as the embedded store keeps it. */

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
	/** Only those that attributePolicy.ts lets through. */
	readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

/** Envoy's name for the x-request-id of a request, used by the predictor's spans as well. */
export const REQUEST_ID_ATTRIBUTE = "guid:x-request-id";
