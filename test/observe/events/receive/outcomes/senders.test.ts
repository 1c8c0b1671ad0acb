import { connect } from "node:net";
import t from "tap";
import type {
	AccessRecordsAnswer,
	ShownAccessRecord,
} from "../../../../../src/observe/events/query/accessRecordQuery.js";
import { CALLER_HEADER, encodeCaller } from "../../../../../src/observe/events/receive/outcomes/sender.js";
import { idOf } from "../../ownIdentity.js";
import { armOf, METRICS, metric, query, type Rig, seriesKey, startRig, unitsOf } from "../../rig.js";

const TRAINER = idOf("trainer");
const GRANTED = METRICS.map((one) => (one.name === "accuracy" ? { ...one, senders: [TRAINER] } : one));
const [unit = ""] = unitsOf("boosted", 1);
const ROW = { metric: "accuracy", value: 1, unit };
const REFUSED = "weir_ingest_refused_outcomes_total";

const audit = async (rig: Rig): Promise<readonly ShownAccessRecord[]> =>
	((await rig.call("GET", "/v1/requests?kind=outcome-refused", "")).json as AccessRecordsAnswer).decisions;

t.test("a sender needs a grant for each metric, or its whole request is refused", async (t) => {
	const rig = await startRig({ metrics: async () => GRANTED });
	t.teardown(() => rig.close());
	const as = async (word: string, body: unknown): Promise<number> =>
		(await rig.post(body, { [CALLER_HEADER]: word })).status;
	for (const owner of ["local:root", "local:Zoë 李", "local:1000"])
		t.equal(await as(encodeCaller(owner), [ROW, { ...ROW, metric: "revenue" }]), 200, "the local owner posts all");
	t.equal(await as(encodeCaller(TRAINER), ROW), 200);
	const refused: (readonly [string, unknown])[] = (
		[
			[TRAINER, { ...ROW, metric: "revenue" }],
			[TRAINER, [ROW, { ...ROW, metric: "revenue" }]],
			[TRAINER, { ...ROW, metric: "no-such-metric" }],
			[idOf("trainer/x"), ROW],
			[`${TRAINER}/`, ROW],
			[`${TRAINER}, ${TRAINER}`, ROW],
			["https://issuer.test#someone", ROW],
			["https://issuer.test#Zoë 李", ROW],
			["local:", ROW],
			["LOCAL:root", ROW],
			[" local:root", ROW],
			["", ROW],
		] as const
	).map(([subject, body]) => [encodeCaller(subject), body]);
	const unwritten = [TRAINER, "local:root", "local%3aroot", "%6Cocal%3Aroot", "local%3Aro%6ft", "local%3Aroot%", "%FF"];
	for (const word of [...unwritten, `${encodeCaller("local:root")}, ${encodeCaller("local:root")}`])
		refused.push([word, ROW]);
	for (const [word, body] of refused) t.equal(await as(word, body), 403, `${word} ${JSON.stringify(body)}`);
	t.match(await rig.post([ROW, { ...ROW, metric: "revenue" }], { [CALLER_HEADER]: encodeCaller(TRAINER) }), {
		status: 403,
		json: { error: { code: "permission-denied", hint: /spec.senders/ } },
	});
	t.equal(rig.meter.counts.get(seriesKey(REFUSED, { reason: "sender-not-granted" })), 7, "rows");
	const records = await audit(rig);
	t.match(records.at(-1), {
		reason: "sender-not-granted",
		principal: TRAINER,
		verdict: "deny",
		count: 1,
		by: "ingest",
	});
	t.same(
		records.map(({ reason, principal, policy, count }) => `${reason} ${principal} ${policy} ${count}`).sort(),
		[
			"no-identity null null 1",
			`sender-not-granted ${TRAINER} null 1`,
			`sender-not-granted ${TRAINER} revenue 1`,
			`sender-not-granted ${idOf("trainer/x")} null 1`,
		],
		"the first of a kind at once, by the Metric that bars it, where it is declared",
	);
	t.notOk(JSON.stringify(records).includes(unit), "no unit");
});

t.test("a request on the socket with no sender, or with two, is anonymous", async (t) => {
	const rig = await startRig({ metrics: async () => GRANTED });
	t.teardown(() => rig.close());
	const owner = encodeCaller("local:root");
	const post = async (...lines: readonly string[]): Promise<string> => {
		const text = JSON.stringify(ROW);
		const head = ["POST /v1/outcomes HTTP/1.1", "host: ingest", "connection: close", ...lines];
		const more = ["content-type: application/json", `content-length: ${text.length}`, "", text];
		const socket = connect(rig.httpSocket);
		socket.write([...head, ...more].join("\r\n"));
		return /^HTTP\/1.1 (\d+)/.exec((await socket.setEncoding("utf8").toArray()).join(""))?.[1] ?? "";
	};
	t.equal(await post(`${CALLER_HEADER}: ${owner}`), "200");
	t.equal(await post(`X-Weir-Caller: ${owner}`), "200");
	t.equal(await post(), "403");
	t.equal(await post(`x_weir_caller: ${owner}`), "403");
	for (const other of [owner, encodeCaller(TRAINER), ""]) {
		t.equal(await post(`${CALLER_HEADER}: ${owner}`, `X-WEIR-CALLER: ${other}`), "403", `and ${other}`);
		t.equal(await post(`${CALLER_HEADER}: ${other}`, `X-WEIR-CALLER: ${owner}`), "403", `${other} and`);
	}
});

t.test("forged outcomes change no statistics, with any key", async (t) => {
	const rig = await startRig({ metrics: async () => GRANTED });
	t.teardown(() => rig.close());
	await rig.send([{ kind: "start", unit, requestId: "r", startMs: 999_000 }]);
	const forged = { ...ROW, value: 0 };
	const key = { "idempotency-key": "k1" };
	t.equal((await rig.post(forged, { [CALLER_HEADER]: encodeCaller(idOf("mallory")), ...key })).status, 403);
	t.equal(
		(await rig.post(ROW, { [CALLER_HEADER]: encodeCaller(TRAINER), ...key })).status,
		200,
		"the key is not used up",
	);
	t.equal((await rig.post(forged, { [CALLER_HEADER]: encodeCaller(idOf("mallory")) })).status, 403);
	t.equal((await rig.post([forged, forged], { [CALLER_HEADER]: "" })).status, 403);
	rig.nowMs += 10_000;
	const { arms } = await rig.ingest.evidence.evidence(query(metric("accuracy")));
	const arm = arms.find(({ arm }) => arm === armOf(unit));
	t.match(arm?.metrics, { accuracy: { n: 1 } });
	t.same(JSON.stringify(arm?.metrics.accuracy).match(/"(sum|mean)":1\b/)?.length, 2, "the trainer's value alone");
});
