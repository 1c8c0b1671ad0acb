import t from "tap";
import { SpanStore } from "../../../src/observe/telemetry/spanStore.js";
import { recordedSpan } from "./otlpExport.js";

const trace = (n: number): string => n.toString(16).padStart(32, "0");

t.test("a trace is found by its id in any case and by its request id", async (t) => {
	const store = new SpanStore();
	const late = recordedSpan({ spanId: "2".repeat(16), startUs: 20 });
	const early = recordedSpan({ spanId: "1".repeat(16), startUs: 10, attributes: { "guid:x-request-id": "r-1" } });
	store.add([late, early]);
	store.add([recordedSpan({ traceId: trace(9) })]);
	t.same(store.find(early.traceId), [early, late]);
	t.same(store.find(early.traceId.toUpperCase()), [early, late]);
	t.same(store.find("r-1"), [early, late]);
	t.same(store.find("r-2"), []);
	t.same(store.recent(1), [trace(9)]);
});

t.test("a span that comes twice is kept once", async (t) => {
	const store = new SpanStore();
	store.add([recordedSpan({})]);
	store.add([recordedSpan({})]);
	t.equal(store.size, 1);
});

t.test("beyond its bound the store forgets the oldest traces, and their request ids", async (t) => {
	const store = new SpanStore({ spans: 10, spansPerTrace: 5 });
	for (let at = 0; at < 100; at++) {
		store.add([recordedSpan({ traceId: trace(at), attributes: { "guid:x-request-id": `r-${at}` } })]);
		t.ok(store.size <= 10);
	}
	t.same(store.find(trace(89)), []);
	t.same(store.find("r-89"), []);
	t.equal(store.find("r-90").length, 1);
});

t.test("one trace cannot fill the store", async (t) => {
	const store = new SpanStore({ spans: 10, spansPerTrace: 5 });
	store.add(Array.from({ length: 8 }, (_, at) => recordedSpan({ spanId: String(at).repeat(16) })));
	t.equal(store.size, 5);
	t.equal(store.dropped, 3);
});
