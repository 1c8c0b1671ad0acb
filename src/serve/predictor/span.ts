/**
 * One server span per inference, through the OpenTelemetry API alone: without an SDK all of this is a no-op.
 * The parent is the W3C traceparent that Envoy sends (w3.org/TR/trace-context).
 */
import type { IncomingHttpHeaders } from "node:http";
import {
	type Attributes,
	propagation,
	ROOT_CONTEXT,
	type Span,
	SpanKind,
	SpanStatusCode,
	type Tracer,
	trace,
} from "@opentelemetry/api";
import { shownPath } from "../../compile/access/requests/shownPath.js";

/** Headers from Envoy with the assignment; other headers or forms are ignored. */
const WEIR_HEADERS: readonly (readonly [header: string, attribute: string])[] = [
	["x-weir-service", "weir.service"],
	["x-weir-arm", "weir.arm"],
	["x-weir-variant", "weir.variant"],
	["x-weir-plan", "weir.plan"],
	["x-request-id", "guid:x-request-id"],
];
const PLAIN_TOKEN = /^[A-Za-z0-9._/-]{1,256}$/;

export interface InferSpanStart {
	readonly headers: IncomingHttpHeaders;
	readonly route: string;
	readonly path: string;
	readonly model: string;
	readonly version: string;
}

export function startInferSpan(tracer: Tracer, { headers, route, path, model, version }: InferSpanStart): Span {
	const parent = propagation.extract(ROOT_CONTEXT, headers);
	const span = tracer.startSpan(`POST ${route}`, { kind: SpanKind.SERVER }, parent);
	if (!span.isRecording()) return span;
	span.setAttributes({
		"http.request.method": "POST",
		"http.route": route,
		"url.path": shownPath(path),
		"model.name": model,
		"model.version": version,
		...weirAttributes(headers),
	});
	return span;
}

export interface InferSpanEnd {
	readonly status: number;
	/** Only where the inference ran. */
	readonly queueMs: number | null;
	readonly runMs: number | null;
}

export function endInferSpan(span: Span, { status, queueMs, runMs }: InferSpanEnd): void {
	if (span.isRecording()) {
		span.setAttribute("http.response.status_code", status);
		if (queueMs !== null) span.setAttribute("model.queue_ms", queueMs);
		if (runMs !== null) span.setAttribute("model.run_ms", runMs);
		if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
	}
	span.end();
}

/** `x-weir-arm` is EXPERIMENT/ARM, as Envoy's own span tag; the feature_flag names are OpenTelemetry's. */
function weirAttributes(headers: IncomingHttpHeaders): Attributes {
	const attributes: Attributes = {};
	for (const [header, attribute] of WEIR_HEADERS) {
		const value = headers[header];
		if (typeof value === "string" && PLAIN_TOKEN.test(value)) attributes[attribute] = value;
	}
	const arm = attributes["weir.arm"];
	if (typeof arm === "string" && arm.includes("/")) {
		const cut = arm.lastIndexOf("/");
		attributes["weir.experiment"] = arm.slice(0, cut);
		attributes["feature_flag.key"] = arm.slice(0, cut);
		attributes["feature_flag.result.variant"] = arm.slice(cut + 1);
		attributes["feature_flag.result.reason"] = "split";
		attributes["feature_flag.provider.name"] = "weir";
	}
	return attributes;
}

/** The tracer of this process: real once telemetry has set up the SDK. */
export const predictorTracer = (): Tracer => trace.getTracer("weir-predictor");
