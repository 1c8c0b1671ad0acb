/** Limits of spans and metrics. */

/** Spans kept by the embedded store of recent spans. */
export const RECENT_SPANS_MAX = 100_000;

/** Spans kept of one trace: more than any request has, in case a client reuses a trace id. */
export const SPANS_PER_TRACE_MAX = 1_000;

/** Characters kept of one span attribute or name. */
export const SPAN_TEXT_CHARS_MAX = 256;

/** Body of one OTLP export: exporters send 512 spans of about 1 KB at a time. */
export const OTLP_BODY_BYTES_MAX = 4 * 1024 * 1024;

/** Spans of this process that wait for export; beyond it new ones are dropped. */
export const SPAN_EXPORT_QUEUE_MAX = 4_096;

/** Label sets of one metric; beyond it label values become "other", so that no client can grow a series. */
export const METRIC_LABEL_SETS_MAX = 1_000;

/** Exports of Envoy's spans in transfer: a hanging collector holds at most this times 4 MB. */
export const OTLP_FORWARDS_MAX = 16;
