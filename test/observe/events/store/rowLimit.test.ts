/** The size limit of the access record log: which records are removed, and how that is reported. */
import t from "tap";
import type { AccessRecordsAnswer, ShadowAnswer } from "../../../../src/observe/events/query/accessRecordQuery.js";
import { NAMESPACES_HEADER } from "../../../../src/observe/events/query/readNamespaces.js";
import { type Entry, JUDGED, type Rig, seriesKey, startRig } from "../rig.js";

t.setTimeout(120_000);

const START = 900_000;
const DROPPED = "weir_ingest_decisions_dropped_total";

/** Denials one after another, of a Service or (null) of an undeclared host. */
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

async function asked(rig: Rig, query = "", namespaces = "*"): Promise<AccessRecordsAnswer> {
	const headers = { [NAMESPACES_HEADER]: namespaces };
	const { status, json } = await rig.call("GET", `/v1/requests?limit=1000${query}`, "", headers);
	if (status !== 200) throw new Error(JSON.stringify(json));
	return json as AccessRecordsAnswer;
}

/** What was sent is stored first: nothing waits for the log but who asks it. */
async function maintained(rig: Rig): Promise<void> {
	await asked(rig);
	await rig.ingest.maintain();
}

async function started(t: { teardown(run: () => Promise<void>): unknown }, decisionRowsMax: number): Promise<Rig> {
	const rig = await startRig({ recordsMax: decisionRowsMax });
	t.teardown(() => rig.close());
	return rig;
}

t.test("beyond the limit the oldest records go, and each answer reports that while records are kept", async (t) => {
	const rig = await started(t, 20);
	await rig.send([...denials("team/shop", 15), ...denials(null, 15, START + 100)]);
	t.equal((await asked(rig)).dropped, undefined);
	await maintained(rig);
	const dropped = { records: 10, wholeSinceMs: START + 10 };
	const { decisions } = await asked(rig);
	t.equal(decisions.length, 20);
	t.equal(Math.min(...decisions.map(({ atMs }) => atMs)), dropped.wholeSinceMs);
	t.equal(rig.meter.counts.get(seriesKey(DROPPED, { table: "decisions" })), 10);
	t.equal(rig.meter.counts.get(seriesKey("weir_ingest_pruned_rows_total", { table: "decisions" })), undefined);
	t.same((await asked(rig)).dropped, dropped);
	t.same((await asked(rig, "", "default")).dropped, dropped, "for every reader");
	t.same((await asked(rig, `&since=${dropped.wholeSinceMs}`)).dropped, undefined);
	t.same((await asked(rig, `&since=${dropped.wholeSinceMs - 1}`)).dropped, dropped);

	await rig.restart();
	await rig.send(denials("team/shop", 5, START + 200));
	await maintained(rig);
	t.same((await asked(rig)).dropped, { records: 16, wholeSinceMs: START + 101 }, "added up; the restart has a record");
	rig.nowMs += 31 * 24 * 60 * 60 * 1_000;
	await maintained(rig);
	t.same(await asked(rig), { decisions: [], next: null }, "what is past its time lacks nothing");
});

t.test("shadow counts beyond the limit are removed, and their answer reports that", async (t) => {
	const rig = await startRig({ recordsMax: 1 });
	t.teardown(() => rig.close());
	const tried = (requestId: string): Entry => ({
		...{ kind: "end", unit: null, requestId, startMs: START, namespace: "envoy.filters.http.rbac" },
		metadata: { weir_deny_shadow_engine_result: "denied", weir_deny_shadow_effective_policy_id: "try" },
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
		dropped: { records: 1, wholeSinceMs: rig.nowMs - 1_000 + 1 },
	});
	t.same((await asked(rig)).dropped, undefined, "of records none was");
});
