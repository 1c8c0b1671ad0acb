import t from "tap";
import { renderTrace } from "../../../src/observe/telemetry/tracePath.js";
import { golden } from "../../golden/golden.js";
import { recordedSpan } from "./otlpExport.js";

const START = 1_700_000_000_000_000;
const ingress = recordedSpan({
	spanId: "a".repeat(16),
	service: "weir-envoy",
	name: "ingress",
	durationUs: 3000,
	attributes: {
		"guid:x-request-id": "r-1",
		"http.status_code": "200",
		response_flags: "-",
		"weir.service": "employment",
		"weir.experiment": "exp",
		"weir.arm": "exp/control",
		"weir.plan": "0123456789abcdef",
	},
});
const upstream = recordedSpan({
	spanId: "b".repeat(16),
	parentSpanId: ingress.spanId,
	service: "weir-envoy",
	name: "router egress",
	kind: "client",
	startUs: START + 500,
});
const predictor = recordedSpan({
	spanId: "c".repeat(16),
	parentSpanId: upstream.spanId,
	service: "weir-predictor",
	name: "POST infer",
	startUs: START + 1250,
	durationUs: 250,
	status: "error",
	attributes: { "http.response.status_code": 500, "model.name": "m", "model.version": "2", "weir.variant": "v2" },
});

t.test("a rendered trace is an indented timeline with the attributes of each hop", async (t) => {
	await golden(t, "trace", renderTrace([predictor, upstream, ingress]));
});

t.test("clocks that disagree do not put a child before its parent", async (t) => {
	const ahead = { ...predictor, startUs: START - 120 };
	const lines = renderTrace([ahead, upstream, ingress]).split("\n");
	t.match(lines[0], /request r-1 {2}2023-11-14T22:13:20\.000Z {2}3 spans in 2 services {2}3\.000 ms/);
	t.match(lines[1], /^ {4}\+0\.000 .* weir-envoy: ingress/);
	t.match(lines[2], /^ {4}\+0\.500 .* {4}└ weir-envoy: router egress/);
	t.match(lines[3], /^ {4}-0\.120 .* {6}└ weir-predictor: POST infer/);
});

t.test("a span without its parent is not indented, and a cycle ends", async (t) => {
	t.match(renderTrace([predictor]), / {2}weir-predictor: POST infer/);
	const loop = [
		recordedSpan({ spanId: "a".repeat(16), parentSpanId: "b".repeat(16) }),
		recordedSpan({ spanId: "b".repeat(16), parentSpanId: "a".repeat(16) }),
	];
	t.equal(renderTrace(loop).trimEnd().split("\n").length, 3);
	t.equal(renderTrace([]), "no spans\n");
});

t.test("control characters do not reach the terminal", async (t) => {
	const lines = renderTrace([recordedSpan({ name: "\u001b[2Jx", attributes: { "weir.arm": "a\nb" } })]);
	t.notOk(lines.includes("\u001b"));
	t.match(lines, /·\[2Jx .* arm=a·b/);
});
