/**
 * Converts OpenTelemetry protocol messages; the one file that uses generated OTLP types.
 * Source: opentelemetry-proto, collector/trace/v1/trace_service.proto, and the OTLP specification's JSON rules
 * (ids are hex there, not the base64 of proto3 JSON).
 */
import { create, fromBinary, fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { WeirError } from "../../error.js";
import {
	type ExportTraceServiceRequest,
	ExportTraceServiceRequestSchema,
} from "../../gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.js";
import { type KeyValue, KeyValueSchema } from "../../gen/opentelemetry/proto/common/v1/common_pb.js";
import { type Span, Span_SpanKind, Status_StatusCode } from "../../gen/opentelemetry/proto/trace/v1/trace_pb.js";
import { type AttributeValue, keptAttribute, keptLocator, keptText } from "./attributePolicy.js";
import { impliedAttributes } from "./attribution.js";
import type { RecordedSpan } from "./span.js";

export interface TraceExport {
	readonly spans: readonly RecordedSpan[];
	/** Number of spans without valid ids or times, reported to the sender (partial_success). */
	readonly rejected: number;
}

/** @throws WeirError `invalid-argument` unless the bytes are an ExportTraceServiceRequest */
export function decodeTraces(bytes: Uint8Array): TraceExport {
	return recorded(decodeRequest(bytes));
}

/** @throws WeirError `invalid-argument` unless the text is OTLP JSON */
export function decodeTracesJson(text: string): TraceExport {
	try {
		const json: unknown = JSON.parse(text, (key, value) =>
			/^(traceId|spanId|parentSpanId)$/.test(key) && typeof value === "string" ? hexToBase64(value) : value,
		);
		return recorded(fromJson(ExportTraceServiceRequestSchema, json as JsonValue, { ignoreUnknownFields: true }));
	} catch (error) {
		throw new WeirError("invalid-argument", "the body is no OTLP trace export in JSON", "", { cause: error });
	}
}

/** The same export with only allowed attributes and the derived ones, for another collector. */
export function redactTraces(bytes: Uint8Array): Uint8Array {
	const request = decodeRequest(bytes);
	for (const { scopeSpans } of request.resourceSpans) {
		for (const { spans } of scopeSpans) {
			for (const span of spans) {
				span.name = keptLocator(span.name);
				const implied = Object.entries(impliedAttributes(keptAttributes(span.attributes)));
				span.attributes = [
					...span.attributes.filter((attribute) => redact(attribute)),
					...implied.map(([key, value]) =>
						create(KeyValueSchema, { key, value: { value: { case: "stringValue", value: String(value) } } }),
					),
				];
				span.events = [];
				span.links = [];
			}
		}
	}
	return toBinary(ExportTraceServiceRequestSchema, request);
}

function decodeRequest(bytes: Uint8Array): ExportTraceServiceRequest {
	try {
		return fromBinary(ExportTraceServiceRequestSchema, bytes);
	} catch (error) {
		throw new WeirError("invalid-argument", "the body is no OTLP trace export", "", { cause: error });
	}
}

function recorded(request: ExportTraceServiceRequest): TraceExport {
	const spans: RecordedSpan[] = [];
	let rejected = 0;
	for (const { resource, scopeSpans } of request.resourceSpans) {
		const name = resource?.attributes.find(({ key }) => key === "service.name");
		const service = name === undefined ? "unknown" : keptText(String(scalar(name) ?? "unknown"));
		for (const span of scopeSpans.flatMap((scope) => scope.spans)) {
			const one = recordedSpan(span, service);
			if (one === null) rejected++;
			else spans.push(one);
		}
	}
	return { spans, rejected };
}

function recordedSpan(span: Span, service: string): RecordedSpan | null {
	const { traceId, spanId, parentSpanId, startTimeUnixNano: start, endTimeUnixNano: end } = span;
	if (traceId.length !== 16 || spanId.length !== 8 || start === 0n || end < start) return null;
	return {
		traceId: hex(traceId),
		spanId: hex(spanId),
		parentSpanId: parentSpanId.length === 8 && parentSpanId.some((byte) => byte !== 0) ? hex(parentSpanId) : null,
		service,
		name: keptLocator(span.name),
		kind: KINDS[span.kind] ?? "internal",
		startUs: Number(start / 1000n),
		durationUs: Number(end - start) / 1000,
		status: STATUSES[span.status?.code ?? Status_StatusCode.UNSET] ?? "unset",
		attributes: withImplied(keptAttributes(span.attributes)),
	};
}

const KINDS: Readonly<Record<number, RecordedSpan["kind"]>> = {
	[Span_SpanKind.SERVER]: "server",
	[Span_SpanKind.CLIENT]: "client",
	[Span_SpanKind.PRODUCER]: "producer",
	[Span_SpanKind.CONSUMER]: "consumer",
};

const STATUSES: Readonly<Record<number, RecordedSpan["status"]>> = {
	[Status_StatusCode.OK]: "ok",
	[Status_StatusCode.ERROR]: "error",
};

const withImplied = (kept: RecordedSpan["attributes"]): RecordedSpan["attributes"] => ({
	...impliedAttributes(kept),
	...kept,
});

function keptAttributes(attributes: readonly KeyValue[]): RecordedSpan["attributes"] {
	const kept: Record<string, AttributeValue> = {};
	for (const attribute of attributes) {
		const value = scalar(attribute);
		const keep = value === null ? null : keptAttribute(attribute.key, value);
		if (keep !== null) kept[attribute.key] = keep;
	}
	return kept;
}

/** Shortens the value in place; false to drop the attribute. */
function redact(attribute: KeyValue): boolean {
	const value = scalar(attribute);
	const keep = value === null ? null : keptAttribute(attribute.key, value);
	if (keep === null || attribute.value === undefined) return false;
	if (typeof keep === "string") attribute.value.value = { case: "stringValue", value: keep };
	return true;
}

function scalar({ value }: KeyValue): AttributeValue | null {
	const one = value?.value;
	switch (one?.case) {
		case "stringValue":
		case "boolValue":
		case "doubleValue":
			return one.value;
		case "intValue":
			return Number(one.value);
		default:
			return null;
	}
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");

const hexToBase64 = (text: string): string => Buffer.from(text, "hex").toString("base64");
