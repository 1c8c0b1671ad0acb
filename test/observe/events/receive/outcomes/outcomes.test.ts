import t from "tap";
import { OUTCOMES_ROWS_MAX } from "../../../../../src/observe/events/receive/outcomes/outcomeBody.js";
import { OUTCOMES_BODY_BYTES_MAX } from "../../../../../src/observe/events/receive/outcomes/outcomes.js";
import { openEventStore } from "../../../../../src/observe/events/store/store.js";
import { METRICS, type Rig, seriesKey, startRig } from "../../rig.js";

const ROW = { metric: "accuracy", value: 1, unit: "user-1" };

interface Answer {
	readonly accepted: number;
	readonly refused: readonly {
		readonly index: number;
		readonly code: string;
		readonly message: string;
		readonly hint: string;
	}[];
}

/** Rows in the store; ingest is closed for it. */
async function stored(rig: Rig, sql = "SELECT count(*) AS n FROM outcomes"): Promise<number> {
	await rig.ingest.close();
	const store = await openEventStore(`${rig.directory}/data`);
	const [row] = await store.analysis.transaction((transaction) => transaction.rows(sql));
	await store.close();
	await rig.reopen();
	return Number(row?.n);
}

t.test("rows are refused one by one, with index, code and cure, and no value is repeated", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const cases: readonly (readonly [row: string, code: string | null])[] = [
		[JSON.stringify(ROW), null],
		['{"metric": "revenue", "value": 1e999, "unit": "secret"}', "value-not-finite"],
		['{"metric": "revenue", "value": -1e999, "unit": "secret"}', "value-not-finite"],
		['{"metric": "revenue", "value": "1", "unit": "secret"}', "value-not-finite"],
		['{"metric": "revenue", "value": null, "unit": "secret"}', "value-not-finite"],
		['{"metric": "revenue", "unit": "secret"}', "value-not-finite"],
		['{"metric": "secret", "value": 1, "unit": "secret"}', "unknown-metric"],
		['{"value": 1, "unit": "secret"}', "unknown-metric"],
		['{"metric": "p99", "value": 1, "unit": "secret"}', "not-an-outcome-metric"],
		['{"metric": "accuracy", "value": 1.01, "unit": "secret"}', "value-out-of-range"],
		['{"metric": "accuracy", "value": -0.1, "unit": "secret"}', "value-out-of-range"],
		['{"metric": "revenue", "value": -7.5, "unit": "secret"}', null],
		['{"metric": "revenue", "value": -1e30, "unit": "secret"}', null],
		['{"metric": "revenue", "value": 1.01e30, "unit": "secret"}', "value-too-large"],
		['{"metric": "revenue", "value": -1e200, "unit": "secret"}', "value-too-large"],
		[`{"metric": "revenue", "value": 1, "unit": "secret", "time": ${1_000_000 + 5_001}}`, "time-in-future"],
		[`{"metric": "revenue", "value": 1, "unit": "secret", "time": ${1_000_000 + 5_000}}`, null],
		['{"metric": "revenue", "value": 1, "unit": "secret", "time": "2038-01-01T00:00:00Z"}', "time-in-future"],
		['{"metric": "revenue", "value": 1, "unit": "secret", "time": "1970-01-01T00:10:00.5+00:00"}', null],
		['{"metric": "revenue", "value": 1, "unit": "secret", "time": "1970-01-01t00:10:00z"}', null],
		['{"metric": "revenue", "value": 1, "unit": "secret", "time": "1970-01-01"}', "time-invalid"],
		['{"metric": "revenue", "value": 1, "unit": "secret", "time": "1970-02-30T00:00:00Z"}', "time-invalid"],
		['{"metric": "revenue", "value": 1, "unit": "secret", "time": "1970-13-01T00:00:00Z"}', "time-invalid"],
		['{"metric": "revenue", "value": 1, "unit": "secret", "time": 1e999}', "time-invalid"],
		['{"metric": "revenue", "value": 1, "unit": " secret"}', "unit-invalid"],
		['{"metric": "revenue", "value": 1, "unit": "sécret"}', "unit-invalid"],
		['{"metric": "revenue", "value": 1, "unit": "a,b"}', "unit-invalid"],
		['{"metric": "revenue", "value": 1, "unit": ""}', "unit-invalid"],
		['{"metric": "revenue", "value": 1, "unit": 5}', "unit-invalid"],
		['{"metric": "revenue", "value": 1, "unit": "secret", "requestId": "r"}', "unit-and-request-id"],
		['{"metric": "revenue", "value": 1}', "neither-unit-nor-request-id"],
		['{"metric": "revenue", "value": 1, "requestId": ""}', "request-id-invalid"],
		['{"metric": "revenue", "value": 1, "requestId": "r"}', null],
		['{"metric": "revenue", "value": 1, "unit": "secret", "secret": 1}', "unknown-field"],
		['{"metric": "revenue", "value": 1, "unit": "secret", "experiment": "no such one"}', "experiment-invalid"],
		['{"metric": "revenue", "value": 1, "unit": "secret", "experiment": "not-known-yet"}', null],
		["[1]", "not-an-object"],
		["null", "not-an-object"],
	];
	const { status, json } = await rig.post(`[${cases.map(([row]) => row).join(",\n")}]`);
	t.equal(status, 200);
	const answer = json as Answer;
	const expected = cases.flatMap(([, code], index) => (code === null ? [] : [[index, code]]));
	t.same(
		answer.refused.map(({ index, code }) => [index, code]),
		expected,
	);
	t.equal(answer.accepted, cases.length - expected.length);
	t.ok(answer.refused.every(({ message, hint }) => message !== "" && hint !== ""));
	t.notMatch(JSON.stringify(answer), /s[eé]cret/);
	t.equal(rig.meter.counts.get(seriesKey("weir_ingest_outcomes_total", { result: "value-not-finite" })), 5);
	t.equal(await stored(rig), answer.accepted);
});

t.test("each form of body is read", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const event = { specversion: "1.0", id: "1", source: "/labels", type: "weir.outcome", data: ROW };
	const ndjson = `${JSON.stringify(ROW)}\n\n{"metric": NaN}\r\n${JSON.stringify(ROW)}`;
	const ce = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/labels", "ce-type": "weir.outcome" };
	const cases: readonly (readonly [string, unknown, Record<string, string>, number, number, string[]])[] = [
		["one object", ROW, {}, 200, 1, []],
		["an array", [ROW, ROW], {}, 200, 2, []],
		["an empty array", [], {}, 200, 0, []],
		["outcomes", { outcomes: [ROW] }, { "content-type": "Application/JSON; charset=UTF-8" }, 200, 1, []],
		["ndjson", ndjson, { "content-type": "application/x-ndjson" }, 200, 2, ["1 not-json"]],
		["all refused", [{ ...ROW, value: "1" }], {}, 422, 0, ["0 value-not-finite"]],
		["structured event", event, { "content-type": "application/cloudevents+json" }, 200, 1, []],
		[
			"event of another version",
			{ ...event, specversion: "0.3" },
			{ "content-type": "application/cloudevents+json" },
			422,
			0,
			["0 cloud-event-invalid"],
		],
		[
			"event without data",
			{ ...event, data: undefined },
			{ "content-type": "application/cloudevents+json" },
			422,
			0,
			["0 cloud-event-invalid"],
		],
		[
			"event from the future",
			{ ...event, time: "2038-01-01T00:00:00Z" },
			{ "content-type": "application/cloudevents+json" },
			422,
			0,
			["0 time-in-future"],
		],
		[
			"batch of events",
			[event, { ...event, id: "" }],
			{ "content-type": "application/cloudevents-batch+json" },
			200,
			1,
			["1 cloud-event-invalid"],
		],
		["binary event", ROW, ce, 200, 1, []],
		["binary event from the future", ROW, { ...ce, "ce-time": "2038-01-01T00:00:00Z" }, 422, 0, ["0 time-in-future"]],
		["binary event without id", ROW, { ...ce, "ce-id": "" }, 422, 0, ["0 cloud-event-invalid"]],
	];
	for (const [name, body, headers, status, accepted, refused] of cases) {
		const answer = await rig.post(body, headers);
		const json = answer.json as Answer;
		t.equal(answer.status, status, name);
		t.equal(json.accepted, accepted, name);
		t.same(
			json.refused.map(({ index, code }) => `${index} ${code}`),
			refused,
			name,
		);
	}
});

t.test("a request that holds no outcomes is refused whole", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const row = JSON.stringify(ROW);
	const cases: readonly (readonly [string, string, Record<string, string>, number, RegExp])[] = [
		["not JSON", `{"unit": "secret", "value": NaN}`, {}, 400, /is not JSON/],
		["another type", row, { "content-type": "text/plain" }, 415, /content type/],
		["a name that every object has", row, { "content-type": "constructor" }, 415, /content type/],
		["one more", row, { "content-type": "__proto__" }, 415, /content type/],
		["no type", row, { "content-type": "" }, 415, /content type/],
		["another charset", row, { "content-type": "application/json; charset=latin1" }, 415, /content type/],
		["compressed", row, { "content-encoding": "gzip" }, 415, /content type/],
		["too many bytes", " ".repeat(OUTCOMES_BODY_BYTES_MAX + 1), {}, 413, /larger than/],
		["too many rows", JSON.stringify(Array(OUTCOMES_ROWS_MAX + 1).fill(1)), {}, 413, /10001 rows/],
		["outcomes that are none", '{"outcomes": 1}', {}, 400, /outcomes/],
		["an invalid batch", row, { "content-type": "application/cloudevents-batch+json" }, 400, /array/],
		["an empty key", row, { "idempotency-key": "" }, 400, /Idempotency-Key/],
	];
	for (const [name, body, headers, status, message] of cases) {
		const answer = await rig.post(body, headers);
		t.equal(answer.status, status, name);
		t.match((answer.json as { error: { message: string } }).error.message, message, name);
		t.notMatch(JSON.stringify(answer.json), /secret/, name);
	}
	t.equal((await rig.call("GET", "/v1/outcomes", "")).status, 405);
	t.equal((await rig.call("POST", "/v1/other", "{}")).status, 404);
	t.same((await rig.call("GET", "/healthz", "")).json, { status: "ok" });
	t.equal((await rig.post(ROW)).status, 200, "and the listener still accepts rows");
	t.equal(await stored(rig), 1);
});

t.test("an idempotency key is answered once and replayed, also after a restart", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const headers = { "idempotency-key": "key-1" };
	const first = await rig.post([ROW, { ...ROW, value: 2 }], headers);
	rig.nowMs += 1_000;
	const again = await rig.post([ROW, { ...ROW, value: 2 }], headers);
	t.same(again.json, first.json);
	t.match(again.headers, { "idempotency-replayed": "true" });
	const other = await rig.post([ROW], headers);
	t.equal(other.status, 409);
	t.match(other.json, { error: { code: "conflict" } });
	t.equal(await stored(rig), 1, "which restarts ingest");
	t.same((await rig.post([ROW, { ...ROW, value: 2 }], headers)).json, first.json);
	t.equal((await rig.post(ROW, headers)).status, 409);
	const refused = await rig.post([{ ...ROW, value: 2 }], { "idempotency-key": "key-2" });
	t.equal(refused.status, 422);
	t.equal((await rig.post([{ ...ROW, value: 2 }], { "idempotency-key": "key-2" })).status, 422);
	t.equal(await stored(rig), 1);
});

t.test("a CloudEvent that is delivered again counts once, by its source and id", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const event = { specversion: "1.0", id: "1", source: "/labels", type: "weir.outcome", data: ROW };
	const one = { "content-type": "application/cloudevents+json" };
	const batch = { "content-type": "application/cloudevents-batch+json" };
	const binary = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/labels", "ce-type": "weir.outcome" };
	const early = await rig.post({ ...event, data: { ...ROW, metric: "later" } }, one);
	t.equal(early.status, 422, "what was refused may come again, mended");
	for (const round of [1, 2]) {
		for (const answer of [
			await rig.post(event, one),
			await rig.post(JSON.stringify(event, null, 2), one),
			await rig.post(ROW, binary),
			await rig.post([event], batch),
		])
			t.match([answer.status, answer.json], [200, { accepted: 1 }], `round ${round}`);
		const two = [event, { ...event, id: "2" }];
		t.match((await rig.post(two, batch)).json, { accepted: 2 });
		t.equal(await stored(rig), 3, "the first, and both of the batch; a restart changes nothing");
	}
	t.equal((await rig.post({ ...event, data: { ...ROW, value: 0 } }, one)).status, 409, "another event of that name");
	t.equal((await rig.post({ ...event, source: "/others" }, one)).status, 200);
	t.equal((await rig.post(event, { ...one, "idempotency-key": "own" })).status, 200, "a key of the request goes first");
	t.equal(await stored(rig), 5);
});

t.test("concurrent duplicates are stored once and all answered alike", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const headers = { "idempotency-key": "key" };
	const answers = await Promise.all(Array.from({ length: 20 }, () => rig.post([ROW, 5], headers)));
	t.equal(new Set(answers.map(({ status, json }) => `${status} ${JSON.stringify(json)}`)).size, 1);
	const mixed = await Promise.all([
		rig.post(ROW, { "idempotency-key": "k2" }),
		rig.post([ROW], { "idempotency-key": "k2" }),
	]);
	t.same(mixed.map(({ status }) => status).sort(), [200, 409]);
	t.equal(await stored(rig), 2);
});

t.test("concurrent requests share commits", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const answers = await Promise.all(Array.from({ length: 200 }, (_, index) => rig.post({ ...ROW, unit: `u${index}` })));
	t.ok(answers.every(({ status }) => status === 200));
	const commits = rig.meter.counts.get(seriesKey("weir_ingest_commits_total", { kind: "outcomes" })) ?? 0;
	t.ok(commits > 0 && commits < 100, `${commits} commits for 200 requests`);
	t.equal(await stored(rig), 200);
});

t.test("a new metric is known at once; while none is known, callers must retry", async (t) => {
	let declared: typeof METRICS | null = null;
	const rig = await startRig({
		metrics: async () => {
			if (declared === null) throw new Error("control is starting");
			return declared;
		},
	});
	t.teardown(() => rig.close());
	t.match(await rig.post(ROW), { status: 503, headers: { "retry-after": "1" } });
	declared = METRICS.filter(({ name }) => name !== "accuracy");
	t.equal((await rig.post(ROW)).status, 422);
	declared = METRICS;
	t.equal((await rig.post(ROW)).status, 200);
	declared = null;
	t.equal((await rig.post({ ...ROW, metric: "new" })).status, 422, "the last known ones stay while control is down");
	t.equal((await rig.post(ROW)).status, 200);
});
