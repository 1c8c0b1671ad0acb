/** OTLP messages for the tests: one span as JSON, and the same in protobuf. */
import { fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { ExportTraceServiceRequestSchema } from "../../../src/gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.js";
import type { RecordedSpan } from "../../../src/observe/telemetry/span.js";

export const TRACE = "0af7651916cd43dd8448eb211c80319c";

export interface SpanParts {
	readonly traceId?: string;
	readonly spanId?: string;
	readonly parentSpanId?: string;
	readonly name?: string;
	readonly attributes?: Readonly<Record<string, string>>;
	readonly endTimeUnixNano?: string;
}

/** As an exporter writes it: hex ids, 64-bit integers as strings, enums as numbers. */
export function exportJson(parts: SpanParts): object {
	const { attributes = {}, ...rest } = parts;
	const span = {
		traceId: TRACE,
		spanId: "b7ad6b7169203331",
		name: "GET /",
		kind: 2,
		startTimeUnixNano: "1700000000000001000",
		endTimeUnixNano: "1700000000002001000",
		status: { code: 2 },
		someFutureField: 1,
		...rest,
		attributes: Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } })),
	};
	const resource = { attributes: [{ key: "service.name", value: { stringValue: "weir-test" } }] };
	return { resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] };
}

export function exportBytes(parts: SpanParts): Buffer {
	const base64 = JSON.parse(JSON.stringify(exportJson(parts)), (key, value) =>
		/^(traceId|spanId|parentSpanId)$/.test(key) ? Buffer.from(value, "hex").toString("base64") : value,
	) as JsonValue;
	return Buffer.from(
		toBinary(
			ExportTraceServiceRequestSchema,
			fromJson(ExportTraceServiceRequestSchema, base64, { ignoreUnknownFields: true }),
		),
	);
}

export function recordedSpan(parts: Partial<RecordedSpan>): RecordedSpan {
	return {
		traceId: TRACE,
		spanId: "b7ad6b7169203331",
		parentSpanId: null,
		service: "weir-test",
		name: "GET /",
		kind: "server",
		startUs: 1_700_000_000_000_000,
		durationUs: 2000,
		status: "unset",
		attributes: {},
		...parts,
	};
}
