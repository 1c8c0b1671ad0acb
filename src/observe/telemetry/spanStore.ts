/**
 * The embedded store of recent spans: in memory, bounded, by trace id and by request id. The oldest traces are dropped
 * first. It serves `weir trace ID` on one machine; a real collector gets the same spans by OTLP.
 */
import { REQUEST_ID_ATTRIBUTE, type RecordedSpan } from "./span.js";

/** Spans kept by the embedded store of recent spans. */
const RECENT_SPANS_MAX = 100_000;

/** Spans kept of one trace: more than any request has, in case a client reuses a trace id. */
const SPANS_PER_TRACE_MAX = 1_000;

export interface SpanStoreLimits {
	readonly spans: number;
	readonly spansPerTrace: number;
}

interface Trace {
	readonly spans: Map<string, RecordedSpan>;
	readonly requestIds: Set<string>;
}

export class SpanStore {
	readonly #limits: SpanStoreLimits;
	/** In order of first arrival. */
	readonly #traces = new Map<string, Trace>();
	readonly #traceOfRequest = new Map<string, string>();
	#spans = 0;
	#dropped = 0;

	constructor(limits: SpanStoreLimits = { spans: RECENT_SPANS_MAX, spansPerTrace: SPANS_PER_TRACE_MAX }) {
		this.#limits = limits;
	}

	/** Number of spans stored, and number dropped because their trace was full. */
	get size(): number {
		return this.#spans;
	}

	get dropped(): number {
		return this.#dropped;
	}

	/** A duplicate span (a retried export) is kept once. */
	add(spans: readonly RecordedSpan[]): void {
		for (const span of spans) this.#addOne(span);
		while (this.#spans > this.#limits.spans) this.#dropOldest();
	}

	/**
	 * @param id a trace id (32 hex digits, any case) or a request id (`x-request-id`)
	 * @returns the trace's spans by start time; empty if unknown or already dropped
	 */
	find(id: string): RecordedSpan[] {
		const traceId = this.#traces.has(id.toLowerCase()) ? id.toLowerCase() : this.#traceOfRequest.get(id);
		const trace = traceId === undefined ? undefined : this.#traces.get(traceId);
		return trace === undefined ? [] : [...trace.spans.values()].sort((a, b) => a.startUs - b.startUs);
	}

	/** Trace ids, newest first. */
	recent(count: number): string[] {
		return [...this.#traces.keys()].slice(-count).reverse();
	}

	#addOne(span: RecordedSpan): void {
		let trace = this.#traces.get(span.traceId);
		if (trace === undefined) {
			trace = { spans: new Map(), requestIds: new Set() };
			this.#traces.set(span.traceId, trace);
		}
		if (trace.spans.has(span.spanId)) return;
		if (trace.spans.size >= this.#limits.spansPerTrace) {
			this.#dropped++;
			return;
		}
		trace.spans.set(span.spanId, span);
		this.#spans++;
		const requestId = span.attributes[REQUEST_ID_ATTRIBUTE];
		if (typeof requestId === "string") {
			trace.requestIds.add(requestId);
			this.#traceOfRequest.set(requestId, span.traceId);
		}
	}

	#dropOldest(): void {
		const [oldest] = this.#traces;
		if (oldest === undefined) return;
		const [traceId, trace] = oldest;
		this.#traces.delete(traceId);
		this.#spans -= trace.spans.size;
		for (const requestId of trace.requestIds) {
			if (this.#traceOfRequest.get(requestId) === traceId) this.#traceOfRequest.delete(requestId);
		}
	}
}
