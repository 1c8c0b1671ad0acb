/** The span of a decision, for requests that Envoy samples (trace context in the gRPC metadata). It never holds a unit or a path. */
import type { IncomingHttpHeaders } from "node:http2";
import { ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { Protocol } from "./counters.js";
import type { Ruling } from "./question.js";

/** W3C Trace Context 3.2, version 00 and what may follow in later ones; the last bit of the flags is "sampled". */
const SAMPLED = /^(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-[0-9a-f][13579bdf](?:$|-)/;

/** Index of the last digit of the flags. */
const FLAGS_AT = 54;

/** Starts the span; null if the request is not sampled. */
export function startDecisionSpan(metadata: IncomingHttpHeaders): Span | null {
	const { traceparent } = metadata;
	// A cheap check first, because most requests are not sampled.
	if (typeof traceparent !== "string" || (traceparent.charCodeAt(FLAGS_AT) & 1) === 0) return null;
	const match = SAMPLED.exec(traceparent);
	if (match === null) return null;
	const [, traceId = "", spanId = ""] = match;
	const parent = trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: 1, isRemote: true });
	return trace.getTracer("weir").startSpan("weir.decision", { kind: SpanKind.SERVER }, parent);
}

/** Adds the decision and ends the span. @param ruling null = the message was unreadable */
export function endDecisionSpan(span: Span, protocol: Protocol, ruling: Ruling | null): void {
	span.setAttribute("weir.protocol", protocol);
	span.setAttribute("weir.verdict", ruling?.verdict ?? "none");
	span.setAttribute("weir.reason", ruling?.reason ?? "malformed");
	if (ruling !== null) {
		const { plan, service, experiment, arm } = ruling;
		if (plan !== null) span.setAttribute("weir.plan", plan);
		if (service !== null) span.setAttribute("weir.service", service);
		if (experiment !== null) span.setAttribute("weir.arm", `${experiment}/${arm ?? "-"}`);
	}
	if (ruling === null || ruling.verdict === "none") span.setStatus({ code: SpanStatusCode.ERROR });
	span.end();
}
