/** `weir trace ID`: the path of one request, as an indented timeline. Pure. */
import { REQUEST_ID_ATTRIBUTE, type RecordedSpan } from "./span.js";

/** Labels of a span and the attributes that may hold their values; the first attribute found counts. */
const SHOWN_ATTRIBUTES: readonly (readonly [label: string, keys: readonly string[]])[] = [
	["status", ["http.response.status_code", "http.status_code", "rpc.grpc.status_code"]],
	["flags", ["response_flags"]],
	["service", ["weir.service"]],
	["experiment", ["weir.experiment"]],
	["arm", ["weir.arm", "feature_flag.result.variant"]],
	["variant", ["weir.variant"]],
	["plan", ["weir.plan"]],
	["model", ["model.name"]],
	["version", ["model.version"]],
	["cluster", ["upstream_cluster.name", "upstream_cluster"]],
];

/**
 * A parent is printed before its children whatever their timestamps: clocks of two processes differ by milliseconds,
 * so a child may seem to start before its parent.
 *
 * @param spans of one trace, as returned by the store
 * @returns lines, each ended by a newline; offsets count from the first line's span, in milliseconds
 */
export function renderTrace(spans: readonly RecordedSpan[]): string {
	const ordered = [...spans].sort((a, b) => a.startUs - b.startUs);
	const known = new Set(ordered.map(({ spanId }) => spanId));
	const roots = ordered.filter(({ parentSpanId }) => parentSpanId === null || !known.has(parentSpanId));
	const first = roots[0] ?? ordered[0];
	if (first === undefined) return "no spans\n";
	const lines = [heading(ordered, first)];
	const childrenOf = (parent: RecordedSpan): RecordedSpan[] =>
		ordered.filter(({ parentSpanId }) => parentSpanId === parent.spanId);
	const shown = new Set<string>();
	const show = (span: RecordedSpan, depth: number): void => {
		if (shown.has(span.spanId)) return; // A sender's cycle must not become ours.
		shown.add(span.spanId);
		lines.push(line(span, depth, first.startUs));
		for (const child of childrenOf(span)) show(child, depth + 1);
	};
	for (const span of roots) show(span, 0);
	for (const span of ordered) show(span, 0);
	return `${lines.join("\n")}\n`;
}

function heading(spans: readonly RecordedSpan[], first: RecordedSpan): string {
	const endUs = Math.max(...spans.map(({ startUs, durationUs }) => startUs + durationUs));
	const request = spans.map(({ attributes }) => attributes[REQUEST_ID_ATTRIBUTE]).find((id) => id !== undefined);
	const services = new Set(spans.map(({ service }) => service)).size;
	return [
		`trace ${first.traceId}`,
		...(request === undefined ? [] : [`request ${request}`]),
		new Date(first.startUs / 1000).toISOString(),
		`${spans.length} spans in ${services} services`,
		`${milliseconds(endUs - first.startUs)} ms`,
	].join("  ");
}

function line(span: RecordedSpan, depth: number, originUs: number): string {
	const sinceUs = span.startUs - originUs;
	const offset = `${sinceUs < 0 ? "" : "+"}${milliseconds(sinceUs)}`.padStart(10);
	const duration = `${milliseconds(span.durationUs)} ms`.padStart(12);
	const tree = `${"  ".repeat(depth)}${depth === 0 ? "" : "└ "}`;
	const attributes = SHOWN_ATTRIBUTES.flatMap(([label, keys]) => {
		const value = keys.map((key) => span.attributes[key]).find((one) => one !== undefined && one !== "-");
		return value === undefined ? [] : [`${label}=${printable(String(value))}`];
	});
	const failed = span.status === "error" ? " ERROR" : "";
	const what = `${tree}${printable(span.service)}: ${printable(span.name)} (${span.kind})${failed}`;
	return [offset, duration, what, ...attributes].join("  ");
}

const milliseconds = (us: number): string => (us / 1000).toFixed(3);

/** Removes terminal control sequences: a span's texts come from outside. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it searches for control characters
const printable = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "·");
