/** Room in the decision log: whose records go, and who is told of it. */
import t from "tap";
import { putShadow } from "../../src/events/decisions/decisionAppend.js";
import type { DecisionsAnswer, ShadowAnswer } from "../../src/events/decisions/decisionQuery.js";
import { NAMESPACES_HEADER } from "../../src/events/decisions/readNamespaces.js";
import type { ShadowCount } from "../../src/events/decisions/shadow.js";
import { pruneDecisions } from "../../src/events/store/retention.js";
import { openEventStore } from "../../src/events/store/store.js";
import { temporaryDirectory } from "../cli/command.js";
import { type Entry, JUDGED, type Rig, seriesKey, startRig, TestMeter } from "./rig.js";

t.setTimeout(120_000);

const START = 900_000;
const DROPPED = "weir_ingest_decisions_dropped_total";

/** Denials one after another, of a Service or (null) of a host that nobody declares. */
const denials = (service: string | null, count: number, startMs = START): Entry[] =>
	Array.from({ length: count }, (_, index) => ({
		kind: "end",
		unit: null,
		requestId: `${service}-${startMs + index}`,
		routeName: service === null ? "" : `weir|p1|${service}|-`,
		startMs: startMs + index,
		status: 403,
		codeDetails: "rbac_access_denied_matched_policy[none]",
		...(service === null ? JUDGED : {}),
	}));

async function asked(rig: Rig, query = "", namespaces = "*"): Promise<DecisionsAnswer> {
	const headers = { [NAMESPACES_HEADER]: namespaces };
	const { status, json } = await rig.call("GET", `/v1/requests?limit=1000${query}`, "", headers);
	if (status !== 200) throw new Error(JSON.stringify(json));
	return json as DecisionsAnswer;
}

/** What was sent is stored first: nothing waits for the log but who asks it. */
async function maintained(rig: Rig): Promise<void> {
	await asked(rig);
	await rig.ingest.maintain();
}

/** How many records each namespace has, '' for none; and when the oldest of each began. */
async function held(rig: Rig): Promise<Readonly<Record<string, readonly [records: number, oldestMs: number]>>> {
	const found: Record<string, [number, number]> = {};
	for (const { service, atMs } of (await asked(rig)).decisions) {
		const holder = service === null ? "" : service.includes("/") ? (service.split("/")[0] ?? "") : "default";
		const [records, oldestMs] = found[holder] ?? [0, Number.POSITIVE_INFINITY];
		found[holder] = [records + 1, Math.min(oldestMs, atMs)];
	}
	return found;
}

async function started(t: { teardown(run: () => Promise<void>): unknown }, decisionRowsMax: number): Promise<Rig> {
	const rig = await startRig({ decisionRowsMax });
	t.teardown(() => rig.close());
	return rig;
}

t.test("who floods pushes out their own records alone, the oldest first", async (t) => {
	const rig = await started(t, 100);
	await rig.send(denials("team/shop", 30));
	await rig.send(denials("shop", 10));
	await rig.send(denials(null, 200, START + 1_000));
	await maintained(rig);
	t.same(await held(rig), { "": [60, START + 1_140], team: [30, START], default: [10, START] });
	t.equal(rig.meter.counts.get(seriesKey(DROPPED, { table: "decisions" })), 140);
	t.equal(rig.meter.counts.get(seriesKey("weir_ingest_pruned_rows_total", { table: "decisions" })), undefined);

	// Of one namespace, whichever of its Services it is.
	await rig.send([...denials("team/till", 40, START + 2_000), ...denials("team/shop", 40, START + 3_000)]);
	await maintained(rig);
	t.same(await held(rig), { "": [45, START + 1_155], team: [45, START + 2_035], default: [10, START] });
	await rig.send(denials("other/shop", 500, START + 4_000));
	await maintained(rig);
	t.same(await held(rig), {
		"": [30, START + 1_170],
		team: [30, START + 3_010],
		other: [30, START + 4_470],
		default: [10, START],
	});
});

t.test("what cannot be divided is kept of who was heard of last; there may be more holders than room", async (t) => {
	const rig = await started(t, 5);
	await rig.send(denials("a/s", 4));
	await rig.send(denials("b/s", 4, START + 10));
	await rig.send(denials("c/s", 4, START + 20));
	await maintained(rig);
	t.same(await held(rig), { a: [1, START + 3], b: [2, START + 12], c: [2, START + 22] });
	for (const [index, name] of ["d", "e", "f"].entries()) await rig.send(denials(`${name}/s`, 1, START + 30 + index));
	await maintained(rig);
	t.same(Object.keys(await held(rig)).sort(), ["b", "c", "d", "e", "f"]);
});

t.test("what was dropped is told, to each reader of what they may read, for as long as records are kept", async (t) => {
	const rig = await started(t, 20);
	await rig.send([...denials("team/shop", 30), ...denials(null, 30), ...denials("shop", 4)]);
	t.equal((await asked(rig)).dropped, undefined);
	await maintained(rig);
	const team = { namespace: "team", records: 22, wholeSinceMs: START + 22 };
	const none = { namespace: null, records: 22, wholeSinceMs: START + 22 };
	const told = async (query?: string, namespaces?: string) => (await asked(rig, query, namespaces)).dropped ?? [];
	t.same(new Set(await told()), new Set([team, none]));
	const { decisions } = await asked(rig, `&since=${team.wholeSinceMs}`);
	t.equal(decisions.filter(({ service }) => service === "team/shop").length, 8, "none is missing from then on");
	t.same(await told(`&since=${team.wholeSinceMs}`), []);
	t.same(new Set(await told(`&since=${team.wholeSinceMs - 1}`)), new Set([team, none]));
	t.same(await told("&service=team/shop"), [team]);
	t.same(await told("&service=shop"), []);
	t.same(await told("", "team,other"), [team]);
	t.same(await told("", "default"), [], "another's flood is not told of");
	t.same(await told("&service=team/shop", "default"), []);

	await rig.restart();
	await rig.send(denials("team/shop", 5, START + 100));
	await maintained(rig);
	t.same(await told("&service=team/shop"), [{ namespace: "team", records: 27, wholeSinceMs: START + 27 }], "added up");
	t.equal((await asked(rig, "", "default")).dropped, undefined);

	rig.nowMs += 31 * 24 * 60 * 60 * 1_000;
	await maintained(rig);
	t.same(await asked(rig), { decisions: [], next: null }, "what is past its time lacks nothing");
});

t.test("shadow counts alike", async (t) => {
	const store = await openEventStore(await temporaryDirectory(t));
	t.teardown(() => store.close());
	const count = (service: string): ShadowCount => ({
		...{ change: "would-deny", policy: "try", reason: "forbidden", service, principal: null },
		...{ method: null, path: null, rules: null, count: 1 },
	});
	const write = (service: string, rows: number, fromMs: number) =>
		store.decisions.transaction((transaction) =>
			transaction.append("shadows", Array<number>(rows).fill(fromMs), (to, ms) => putShadow(to, ms, count(service))),
		);
	await write("a/shop", 3, 1_000);
	// Rows of one commit have one time, and go together.
	for (const ms of [2_000, 2_001, 2_002]) await write("b/shop", 4, ms);
	const meter = new TestMeter();
	await pruneDecisions(store, 10_000, meter, 10);
	t.equal(meter.counts.get(seriesKey(DROPPED, { table: "shadows" })), 8);
	const [drop] = await store.questions.transaction((transaction) => transaction.rows("FROM room_drops"));
	t.match(drop, { kind: "shadows", namespace: "b", records: 8n, whole_since_ms: 2_002n }, "counted as they went");
	const rows = await store.decisions.transaction((transaction) =>
		transaction.rows("SELECT service, received_ms, count(*)::INTEGER AS n FROM shadows GROUP BY ALL ORDER BY ALL"),
	);
	t.same(
		rows.map(({ service, received_ms, n }) => [service, Number(received_ms), n]),
		[
			["a/shop", 1_000, 3],
			["b/shop", 2_002, 4],
		],
	);
});

t.test("and the answer of them says so", async (t) => {
	const rig = await startRig({ decisionRowsMax: 1 });
	t.teardown(() => rig.close());
	const tried = (requestId: string): Entry => ({
		...{ kind: "end", unit: null, requestId, startMs: START, namespace: "envoy.filters.http.rbac" },
		said: { weir_deny_shadow_engine_result: "denied", weir_deny_shadow_effective_policy_id: "try" },
	});
	const counts = async () => (await rig.call("GET", "/v1/requests?view=shadow&rules=all", "")).json as ShadowAnswer;
	await rig.send([tried("r1")]);
	t.match(await counts(), { changes: [{ count: 1 }], dropped: undefined });
	rig.nowMs += 1_000;
	await rig.send([tried("r2")]);
	t.match((await counts()).changes, [{ count: 2 }]);
	await maintained(rig);
	t.match(await counts(), {
		changes: [{ count: 1 }],
		dropped: [{ namespace: "default", records: 1, wholeSinceMs: rig.nowMs - 1_000 + 1 }],
	});
	t.same((await asked(rig)).dropped, undefined, "of records none was");
});
