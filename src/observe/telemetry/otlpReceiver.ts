/**
 * Receives spans: OTLP/gRPC (from Envoy's tracer) on a UNIX socket or loopback, and OTLP/HTTP (from Weir's own
 * processes, in protobuf or JSON) as a handler for POST /v1/traces on any node:http server.
 * Source: OTLP specification 1.x, sections OTLP/gRPC and OTLP/HTTP. A refused export is answered and counted, never fatal.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { gunzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { WeirError } from "../../error.js";
import { ExportTraceServiceResponseSchema } from "../../gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.js";
import type { Meter } from "./meter.js";
import { decodeTraces, decodeTracesJson, type TraceExport } from "./otlp.js";
import type { SpanStore } from "./spanStore.js";

/** Body of one OTLP export: exporters send 512 spans of about 1 KB at a time. */
export const OTLP_BODY_BYTES_MAX = 4 * 1024 * 1024;

export interface TraceSink {
	readonly store: SpanStore;
	readonly meter?: Meter | undefined;
	/** Called with the raw bytes of each gRPC export, to forward it; must not throw or wait. */
	readonly forward?: ((bytes: Uint8Array) => void) | undefined;
}

export interface OtlpReceiver {
	/** As given, with the real port. */
	readonly address: string;
	close(): Promise<void>;
}

/**
 * OTLP/gRPC TraceService/Export.
 * @param address `unix:/path`, or `127.0.0.1:PORT` (0 = any free port)
 * @throws WeirError `invalid-argument` for an address beyond loopback, `failed-precondition` if it is in use
 */
export async function startOtlpReceiver(sink: TraceSink & { readonly address: string }): Promise<OtlpReceiver> {
	const { address } = sink;
	if (!/^(unix:\/|127\.0\.0\.1:\d+$|\[::1\]:\d+$)/.test(address)) {
		throw new WeirError(
			"invalid-argument",
			`the trace receiver does not listen on '${address}'`,
			"use unix:/path, 127.0.0.1:PORT or [::1]:PORT",
		);
	}
	const server = new Server({ "grpc.max_receive_message_length": OTLP_BODY_BYTES_MAX });
	server.addService(TRACE_SERVICE, {
		export: (call: ServerUnaryCall<Buffer, Uint8Array>, callback: sendUnaryData<Uint8Array>) => {
			try {
				const { rejected } = take(sink, decodeTraces(call.request));
				sink.forward?.(call.request);
				callback(null, response(rejected));
			} catch (error) {
				callback({ code: status.INVALID_ARGUMENT, details: WeirError.from(error).message });
			}
		},
	});
	const port = await new Promise<number>((resolve, reject) => {
		server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
			if (error === null) resolve(bound);
			else reject(new WeirError("failed-precondition", `cannot listen on ${address}`, "", { cause: error }));
		});
	});
	return {
		address: address.startsWith("unix:") ? address : address.replace(/\d+$/, String(port)),
		close: () =>
			new Promise((resolve) => {
				// Envoy keeps its export stream open, so a graceful end would not finish.
				server.tryShutdown(() => resolve());
				server.forceShutdown();
			}),
	};
}

const identity = <T>(value: T): T => value;

/** Raw bytes in and out: otlp.ts decodes, so that an export can be forwarded unchanged. */
const TRACE_SERVICE = {
	export: {
		path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
		requestStream: false,
		responseStream: false,
		requestSerialize: identity<Buffer>,
		requestDeserialize: identity<Buffer>,
		responseSerialize: (value: Uint8Array) => Buffer.from(value),
		responseDeserialize: identity<Buffer>,
	},
} as const;

/** POST /v1/traces. Never rejects. */
export function otlpHttpHandler(
	sink: TraceSink,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
	return async (request, answer) => {
		const type = request.headers["content-type"]?.split(";")[0]?.trim();
		try {
			if (request.method !== "POST") return end(answer, 405, "text/plain", "use POST");
			if (type !== "application/x-protobuf" && type !== "application/json") {
				return end(answer, 415, "text/plain", "send application/x-protobuf or application/json");
			}
			const body = await bodyOf(request);
			if (body === null) return end(answer, 413, "text/plain", "the export is too large", { connection: "close" });
			const json = type === "application/json";
			const { rejected } = take(sink, json ? decodeTracesJson(body.toString("utf8")) : decodeTraces(body));
			if (!json) return end(answer, 200, type, response(rejected));
			const partial = rejected === 0 ? {} : { partialSuccess: { rejectedSpans: String(rejected), errorMessage: WHY } };
			return end(answer, 200, type, JSON.stringify(partial));
		} catch (error) {
			return end(answer, 400, "text/plain", WeirError.from(error).message);
		}
	};
}

function take({ store, meter }: TraceSink, traces: TraceExport): TraceExport {
	const before = store.dropped;
	store.add(traces.spans);
	meter?.count("weir_spans_received_total", "Spans received by OTLP.", {}, traces.spans.length);
	const lost = traces.rejected + store.dropped - before;
	if (lost > 0) meter?.count("weir_spans_dropped_total", "Spans received and not kept.", {}, lost);
	return traces;
}

const WHY = "spans need ids of 16 and 8 bytes, a start, and an end after it";

const response = (rejected: number): Uint8Array =>
	toBinary(
		ExportTraceServiceResponseSchema,
		create(
			ExportTraceServiceResponseSchema,
			rejected === 0 ? {} : { partialSuccess: { rejectedSpans: BigInt(rejected), errorMessage: WHY } },
		),
	);

/** null: above the size limit, compressed or decompressed. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | null> {
	const chunks: Buffer[] = [];
	let bytes = 0;
	for await (const chunk of request as AsyncIterable<Buffer>) {
		bytes += chunk.length;
		if (bytes > OTLP_BODY_BYTES_MAX) return null;
		chunks.push(chunk);
	}
	const body = Buffer.concat(chunks);
	if (request.headers["content-encoding"] !== "gzip") return body;
	try {
		return gunzipSync(body, { maxOutputLength: OTLP_BODY_BYTES_MAX });
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") return null;
		throw new WeirError("invalid-argument", "the body is not gzip", "", { cause: error });
	}
}

function end(
	answer: ServerResponse,
	code: number,
	type: string,
	body: string | Uint8Array,
	headers: Readonly<Record<string, string>> = {},
): void {
	if (answer.destroyed) return;
	answer.writeHead(code, { "content-type": type, "content-length": Buffer.byteLength(body), ...headers });
	answer.end(body);
}
