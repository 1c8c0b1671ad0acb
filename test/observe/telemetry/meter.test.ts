import t from "tap";
import { createMeter, mergeMetrics } from "../../../src/observe/telemetry/meter.js";
import { readPrometheusText } from "./prometheusText.js";

t.test("counters, gauges and histograms are written in the Prometheus text format", async (t) => {
	const meter = createMeter({ role: "ingest" });
	meter.count("weir_entries_total", "Entries.", { kind: "start" });
	meter.count("weir_entries_total", "Entries.", { kind: "start" }, 2);
	meter.count("weir_entries_total", "Entries.", { kind: 'e"n\\d\n' });
	meter.gauge("weir_queue_entries", "Waiting.", 7);
	meter.gauge("weir_queue_entries", "Waiting.", 5);
	meter.observe("weir_request_duration_seconds", "Time.", 0.003, { model: "m" });
	meter.observe("weir_request_duration_seconds", "Time.", 99, { model: "m" });
	meter.observe("weir_body_size_bytes", "Size.", 300);
	const families = readPrometheusText(await meter.text());
	t.same(
		[...families].map(([name, { type }]) => [name, type]),
		[
			["weir_entries_total", "counter"],
			["weir_queue_entries", "gauge"],
			["weir_request_duration_seconds", "histogram"],
			["weir_body_size_bytes", "histogram"],
		],
	);
	t.equal(families.get("weir_entries_total")?.samples.get('weir_entries_total{role="ingest",kind="start"}'), 3);
	t.equal(families.get("weir_queue_entries")?.samples.get('weir_queue_entries{role="ingest"}'), 5);
	const time = families.get("weir_request_duration_seconds")?.samples;
	t.equal(time?.get('weir_request_duration_seconds_bucket{le="0.005",role="ingest",model="m"}'), 1);
	t.equal(time?.get('weir_request_duration_seconds_bucket{le="+Inf",role="ingest",model="m"}'), 2);
});

t.test("the metrics of several processes merge into one text, one HELP and TYPE each", async (t) => {
	const [api, ingest, other] = [
		createMeter({ role: "api" }),
		createMeter({ role: "ingest" }),
		createMeter({ role: "ingest" }),
	];
	for (const meter of [api, ingest, other]) {
		meter.count("weir_requests_total", "Requests.", { status: "200" }, 2);
		meter.observe("weir_request_duration_seconds", "Time.", 0.003);
		meter.gauge("weir_open_streams", "Streams.", 1);
	}
	api.count("weir_only_here_total", "One process only.");
	// As it travels: JSON.
	const processes = JSON.parse(JSON.stringify(await Promise.all([api.json(), ingest.json(), other.json()])));
	const families = readPrometheusText(await mergeMetrics(processes));
	t.same(
		[...(families.get("weir_requests_total")?.samples ?? [])],
		[
			['weir_requests_total{role="api",status="200"}', 2],
			['weir_requests_total{role="ingest",status="200"}', 4],
		],
	);
	t.equal(families.get("weir_only_here_total")?.samples.size, 1);
	t.equal(
		families.get("weir_request_duration_seconds")?.samples.get('weir_request_duration_seconds_count{role="ingest"}'),
		2,
	);
	const shared = readPrometheusText(await mergeMetrics([processes[0], processes[1], processes[1]]));
	t.equal(
		shared.get("weir_requests_total")?.samples.get('weir_requests_total{role="ingest",status="200"}'),
		2,
		"a meter that several roles hand out counts once",
	);
	t.equal(await mergeMetrics([]).then((text) => text.trim()), "");
});

t.test("label sets beyond 1000 are counted as other", async (t) => {
	const meter = createMeter({ role: "r" });
	for (let at = 0; at < 1500; at++) meter.count("weir_calls_total", "Calls.", { caller: `c${at}` });
	meter.count("weir_calls_total", "Calls.", { caller: "c0" });
	const samples = readPrometheusText(await meter.text()).get("weir_calls_total")?.samples;
	t.equal(samples?.size, 1001);
	t.equal(samples?.get('weir_calls_total{role="r",caller="other"}'), 500);
	t.equal(samples?.get('weir_calls_total{role="r",caller="c0"}'), 2);
});

t.test("a name or labels against the rules are a programming error", async (t) => {
	const meter = createMeter({ role: "r" });
	t.throws(() => meter.count("weir_calls", "No _total."), { code: "internal" });
	t.throws(() => meter.count("calls_total", "No prefix."), { code: "internal" });
	t.throws(() => meter.gauge("weir_calls_total", "A gauge.", 1), { code: "internal" });
	t.throws(() => meter.observe("weir_time_ms", "Not a base unit.", 1), { code: "internal" });
	meter.count("weir_calls_total", "Calls.", { caller: "a" });
	t.throws(() => meter.count("weir_calls_total", "Calls."), { message: /has the labels caller/ });
	t.throws(() => meter.count("weir_calls_total", "Calls.", { caller: "a", more: "b" }), { code: "internal" });
});
