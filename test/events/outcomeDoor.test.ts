/** Who may post no Metric is refused before anything that they send is read, and told of in few words. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import t from "tap";
import type { DecisionsAnswer } from "../../src/events/decisions/decisionQuery.js";
import { MetricCatalogue } from "../../src/events/outcomes/metricDeclaration.js";
import { CALLER_HEADER, callerWord } from "../../src/events/outcomes/sender.js";
import { METRICS_ASKED_AT_ONCE_MAX, OUTCOMES_ROWS_MAX, REFUSED_NAMES_MAX } from "../../src/limits.js";
import { SubjectBudget } from "../../src/subjectBudget.js";
import { idOf } from "./ownIdentity.js";
import { METRICS, type Rig, seriesKey, startRig } from "./rig.js";

const TRAINER = idOf("trainer");
const MALLORY = idOf("mallory");
const GRANTED = METRICS.map((one) => (one.name === "accuracy" ? { ...one, senders: [TRAINER] } : one));
const ROW = { metric: "accuracy", value: 1, unit: "user-1" };
const as = (id: string) => ({ [CALLER_HEADER]: callerWord(id) });

/** Reason, sender, Metric and count of each record, sorted. */
async function told(rig: Rig): Promise<readonly string[]> {
	const { decisions } = (await rig.call("GET", "/v1/requests?kind=outcome-refused", "")).json as DecisionsAnswer;
	return decisions.map(({ reason, principal, policy, count }) => `${reason} ${principal} ${policy} ${count}`).sort();
}

/** A request whose body does not come. @returns the status of its answer */
async function headAlone(rig: Rig, id: string, type = "application/json"): Promise<string | undefined> {
	const socket: Socket = connect(rig.httpSocket);
	const head = [`${CALLER_HEADER}: ${callerWord(id)}`, `content-type: ${type}`, "content-length: 1000"];
	socket.write(`${["POST /v1/outcomes HTTP/1.1", "host: ingest", ...head].join("\r\n")}\r\n\r\n`);
	const [answer] = await once(socket.setEncoding("latin1"), "data");
	socket.destroy();
	return /^HTTP\/1.1 (\d+)/.exec(answer)?.[1];
}

t.test("whom no Metric names is refused before a body has come, whatever it would be", async (t) => {
	const rig = await startRig({ metrics: async () => GRANTED });
	t.teardown(() => rig.close());
	t.equal(await headAlone(rig, MALLORY), "403");
	t.equal(await headAlone(rig, MALLORY, "text/plain"), "403", "of what type");
	t.equal(await headAlone(rig, TRAINER, "text/plain"), "415", "a sender is told what it may send");
	const bodies = [ROW, { ...ROW, nonsense: 1 }, [], "{", "null", Array(OUTCOMES_ROWS_MAX + 1).fill(ROW)];
	for (const body of bodies)
		t.equal((await rig.post(body, as(MALLORY))).status, 403, JSON.stringify(body).slice(0, 60));
	const labels = { reason: "sender-not-granted" };
	t.equal(rig.meter.counts.get(seriesKey("weir_ingest_refused_outcomes_total", labels)), 2 + bodies.length);
	t.same(await told(rig), [`sender-not-granted ${MALLORY} null 1`], "the first at once");
	await rig.restart();
	t.same(
		await told(rig),
		[`sender-not-granted ${MALLORY} null 1`, `sender-not-granted ${MALLORY} null ${1 + bodies.length}`],
		"and the others with their number",
	);
});

t.test("where no Metric names anybody the owner alone is read", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	t.equal(await headAlone(rig, TRAINER), "403");
	t.equal((await rig.post(ROW)).status, 200);
});

t.test("a row that its sender may not post is refused for that, whatever else is in it", async (t) => {
	const rig = await startRig({ metrics: async () => GRANTED });
	t.teardown(() => rig.close());
	for (const row of [{ metric: "revenue", nonsense: 1 }, { nonsense: 1, metric: "p99" }, { nonsense: 1 }])
		t.equal((await rig.post([ROW, row], as(TRAINER))).status, 403, JSON.stringify(row));
	t.same(await told(rig), [
		`sender-not-granted ${TRAINER} null 1`,
		`sender-not-granted ${TRAINER} p99 2`,
		`sender-not-granted ${TRAINER} revenue 2`,
	]);
	const own = [
		[{ ...ROW, nonsense: 1 }, "unknown-field"],
		[JSON.parse(`{"__proto__": {}, "metric": "accuracy", "value": 1, "unit": "u"}`), "unknown-field"],
		[null, "not-an-object"],
	] as const;
	for (const [row, code] of own)
		t.match(await rig.post([row], as(TRAINER)), { status: 422, json: { refused: [{ code }] } }, code);
});

t.test("a sender may name as many Metrics of others as it likes: some are told apart", async (t) => {
	const others = Array.from({ length: 2 * REFUSED_NAMES_MAX }, (_, at) => ({ ...METRICS[0], name: `m${at}` }));
	const rig = await startRig({ metrics: async () => [...GRANTED, ...(others as typeof METRICS)] });
	t.teardown(() => rig.close());
	for (const { name } of others) t.equal((await rig.post({ ...ROW, metric: name }, as(TRAINER))).status, 403);
	t.equal((await told(rig)).length, REFUSED_NAMES_MAX + 1);
	await rig.restart();
	t.equal((await told(rig)).length, REFUSED_NAMES_MAX + 2);
});

t.test("who was named a moment ago is taken", async (t) => {
	let declared = METRICS;
	const rig = await startRig({ metrics: async () => declared });
	t.teardown(() => rig.close());
	t.equal((await rig.post(ROW, as(TRAINER))).status, 403);
	declared = GRANTED;
	t.equal((await rig.post(ROW, as(TRAINER))).status, 200);
});

t.test(
	"a sender has the declarations asked for so often, and no more; who was named meanwhile does not wait for it",
	async (t) => {
		let asked = 0;
		let monotonicMs = 0;
		const source = async () => {
			asked++;
			return GRANTED;
		};
		const catalogue = new MetricCatalogue(source, () => monotonicMs);
		const refresh = (id: string) => catalogue.refresh({ kind: "spiffe", id });
		await catalogue.current();
		for (let times = 0; times < 10 * METRICS_ASKED_AT_ONCE_MAX; times++) t.equal((await refresh(MALLORY)).size, 4);
		t.equal(asked, METRICS_ASKED_AT_ONCE_MAX + 1);
		await refresh(TRAINER);
		t.equal(asked, METRICS_ASKED_AT_ONCE_MAX + 2, "another's is its own");
		for (let times = 0; times < 10 * METRICS_ASKED_AT_ONCE_MAX; times++) await catalogue.refresh({ kind: "owner" });
		const all = 11 * METRICS_ASKED_AT_ONCE_MAX + 2;
		t.equal(asked, all, "the machine's owner has no bound");
		monotonicMs += 1_001;
		await catalogue.current();
		t.equal(asked, all + 1, "what is old is asked for all the same");
		await refresh(MALLORY);
		t.equal(asked, all + 2, "and some come back");
	},
);

t.test("under a stranger's flood a new Metric's rows are taken at once, and a new grantee's", async (t) => {
	let declared = GRANTED;
	const rig = await startRig({ metrics: async () => declared });
	t.teardown(() => rig.close());
	const flood = async () => {
		for (let times = 0; times < 10 * METRICS_ASKED_AT_ONCE_MAX; times++)
			t.equal((await rig.post([], as(MALLORY))).status, 403);
	};
	const fresh = { ...METRICS[0], name: "fresh" } as (typeof METRICS)[number];
	await flood();
	declared = [...GRANTED, fresh];
	t.match(await rig.post([ROW, { ...ROW, metric: "fresh" }]), { status: 200, json: { accepted: 2, refused: [] } });
	await flood();
	declared = [...GRANTED, { ...fresh, senders: [TRAINER, idOf("new")] }];
	const row = { ...ROW, metric: "fresh" };
	t.equal((await rig.post(row, as(TRAINER))).status, 200, "who posts another one");
	await flood();
	declared = [...GRANTED, { ...fresh, senders: [idOf("newest")] }];
	t.equal((await rig.post(row, as(idOf("newest")))).status, 200, "who posts none yet");
});

t.test("what a sender sends is read in its own time, of which it has so much", async (t) => {
	let monotonicMs = 0;
	const outcomesReading = new SubjectBudget(1_000, 3_600, 10, () => monotonicMs);
	const other = idOf("other");
	const metrics = GRANTED.map((one) => (one.senders === undefined ? one : { ...one, senders: [TRAINER, other] }));
	const rig = await startRig({ metrics: async () => metrics, outcomesReading });
	t.teardown(() => rig.close());
	const event = { specversion: "1.0", id: "1", source: "/labels", type: "weir.outcome", data: ROW };
	const bodies: readonly (readonly [status: number, body: unknown, type?: string])[] = [
		[200, Array(OUTCOMES_ROWS_MAX).fill(ROW)],
		[
			422,
			Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`k${at}`, 1]).concat([["metric", "accuracy"]])),
		],
		[400, `${"[".repeat(100_000)}x`],
		[200, Array(1_000).fill(event), "application/cloudevents-batch+json"],
	];
	for (const [status, body, type = "application/json"] of bodies) {
		monotonicMs += 24 * 3_600_000;
		const headers = { ...as(TRAINER), "content-type": type };
		t.equal(outcomesReading.taken(TRAINER), 0);
		t.equal((await rig.post(body, headers)).status, status);
		t.ok(outcomesReading.taken(TRAINER) > 0, `${status} ${type}`);
	}
	outcomesReading.owe(TRAINER, 2_000);
	t.match(await rig.post(ROW, as(TRAINER)), {
		status: 429,
		json: { error: { code: "resource-exhausted", hint: /send it again in \d+ s/ } },
	});
	t.match((await rig.post(ROW, as(TRAINER))).headers, { "retry-after": /^\d{3,}$/ });
	t.equal(rig.lines.filter((line) => /^warn .*not taken for now.*trainer/.test(line)).length, 1, "the first at once");
	t.equal((await rig.post(ROW, as(other))).status, 200, "others do not wait for it");
	t.equal((await rig.post(ROW)).status, 200, "nor does the machine's owner");
	monotonicMs += 24 * 3_600_000;
	t.equal((await rig.post(ROW, as(TRAINER))).status, 200);
});

t.test("who has none left once its body has come is not read", async (t) => {
	let asked = 0;
	// Others of its requests, which came with it, have used it up.
	class UsedUp extends SubjectBudget {
		override waitMs(): number {
			return asked++ === 0 ? 0 : 5_000;
		}
	}
	const rig = await startRig({ metrics: async () => GRANTED, outcomesReading: new UsedUp(1_000, 3_600) });
	t.teardown(() => rig.close());
	t.match(await rig.post(ROW, as(TRAINER)), { status: 429, headers: { "retry-after": "5" } });
	t.equal(asked, 2);
});

t.test("judging rows is in the sender's time, too", async (t) => {
	const JUDGED_MS = 200;
	const spend = (): undefined => {
		const [fromMs, from] = [performance.now(), process.cpuUsage()];
		for (;;) {
			const { user, system } = process.cpuUsage(from);
			if (Math.min(performance.now() - fromMs, (user + system) / 1_000) >= JUDGED_MS) return undefined;
		}
	};
	const slow = GRANTED.map((one) => Object.defineProperty({ ...one }, "range", { get: spend }));
	const outcomesReading = new SubjectBudget(1_000, 3_600, 10, () => 0);
	const rig = await startRig({ metrics: async () => slow, outcomesReading });
	t.teardown(() => rig.close());
	t.equal((await rig.post(ROW, as(TRAINER))).status, 200);
	// The thread's own time comes by clock ticks.
	t.ok(outcomesReading.taken(TRAINER) > JUDGED_MS / 2);
});
