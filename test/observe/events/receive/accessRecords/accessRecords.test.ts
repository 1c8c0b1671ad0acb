/** The access record log: which requests leave a record, its fields, and what it never contains. */

import { join } from "node:path";
import t from "tap";
import type { DenialReason } from "../../../../../src/compile/envoy/denial.js";
import type { PlanTable } from "../../../../../src/compile/plan/compiledPlan.js";
import type {
	AccessRecordsAnswer,
	ShownAccessRecord,
} from "../../../../../src/observe/events/query/accessRecordQuery.js";
import { decodeMessage } from "../../../../../src/observe/events/receive/accessLog/entryDecoder.js";
import type { StreamFault } from "../../../../../src/observe/events/receive/accessLog/streamIdentity.js";
import { ACCESS_RECORD_TEXT_CHARS_MAX } from "../../../../../src/observe/events/receive/accessRecords/accessRecord.js";
import { AccessRecords } from "../../../../../src/observe/events/receive/accessRecords/accessRecords.js";
import { AssignmentChanges } from "../../../../../src/observe/events/receive/accessRecords/assignmentChanges.js";
import { createPseudonyms } from "../../../../../src/observe/events/store/pseudonym.js";
import { openEventStore } from "../../../../../src/observe/events/store/store.js";
import type { Reason } from "../../../../../src/publish/sidecar/question.js";
import {
	CALLOUT,
	type Entry,
	EXPERIMENT,
	encode,
	JUDGED,
	PLANS,
	planWith,
	type Rig,
	seriesKey,
	startRig,
	TestMeter,
	unitsOf,
} from "../../rig.js";

const START = 900_000;
const [boosted = "", other = ""] = unitsOf("boosted", 2);
const WEB = "spiffe://a.test/web";

async function decisions(rig: Rig, query = ""): Promise<readonly ShownAccessRecord[]> {
	const { status, json } = await rig.call("GET", `/v1/requests${query === "" ? "" : `?${query}`}`, "");
	if (status !== 200) throw new Error(JSON.stringify(json));
	return (json as AccessRecordsAnswer).decisions;
}

const denied = (over: Partial<Entry> = {}): Entry => ({
	kind: "end",
	unit: boosted,
	requestId: "11111111-1111-4111-8111-111111111111",
	startMs: START,
	status: 403,
	principal: WEB,
	codeDetails: "rbac_access_denied_matched_policy[none]",
	...over,
});

t.setTimeout(120_000);

t.test("a native denial leaves one record, and nothing of the caller's secrets", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const traceparent = `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01`;
	await rig.send(
		[
			{ ...denied(), kind: "start" },
			denied({ path: "/v2/models/m/infer?token=secret", durationMs: 7, headers: { traceparent, cookie: "secret" } }),
			{ kind: "end", unit: boosted, requestId: "r2", startMs: START },
		],
		{ node: "edge", log: "weir|team/edge" },
	);
	const [one, ...more] = await decisions(rig);
	t.equal(more.length, 0, "one a denied request, none of allowed ones");
	t.match(one, {
		kind: "denied",
		atMs: START,
		receivedMs: 1_000_000,
		requestId: "11111111-1111-4111-8111-111111111111",
		traceId: "ab".repeat(16),
		gateway: "team/edge",
		service: "shop",
		method: "POST",
		path: "/v2/models/m/infer",
		principal: WEB,
		unit: /^[0-9a-f]{32}$/,
		experiment: "models",
		arm: "boosted",
		formerArm: null,
		verdict: "deny",
		reason: "no-policy-allows",
		policy: null,
		by: "envoy",
		plan: "p1",
		status: 403,
		latencyMs: 7,
		count: 1,
	});
	const text = JSON.stringify(await decisions(rig));
	t.notMatch(text, /secret/);
	t.notOk(text.includes(boosted), "the unit is a pseudonym");
});

t.test("records of one commit are returned in the order of their times, the newest first", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const starts = [30, 10, 20, 10].map((after) => START + after);
	await rig.send(starts.map((startMs, index) => denied({ requestId: `r${index}`, startMs })));
	t.same(
		(await decisions(rig)).map(({ requestId }) => requestId),
		["r0", "r2", "r3", "r1"],
	);
});

t.test("a reason that no record can have is refused, with those that there are", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	for (const reason of ["bogus", "", "Forbidden"]) {
		const { status, json } = await rig.call("GET", `/v1/requests?reason=${reason}`, "");
		t.equal(status, 400);
		t.match(json, { error: { message: "there is no such reason", hint: /no-policy-allows.*other-gateway/ } });
	}
	const bySidecar: Readonly<Record<Reason, true>> = {
		...{ open: true, allowed: true, forbidden: true, "no-policy-allows": true, "not-canonical": true },
		...{ "invalid-token": true, "verification-limited": true, "unknown-service": true, "no-table": true },
		...{ "stale-table": true, "no-signer": true, malformed: true, overloaded: true, "configuration-refused": true },
	};
	const byEnvoy: Readonly<Record<DenialReason, true>> = {
		...{ forbidden: true, "no-policy-allows": true, "invalid-token": true, "not-canonical": true },
		...{ "no-single-identity": true, "rate-limited": true, "loop-detected": true, unanswered: true },
		"upgrade-refused": true,
	};
	const byIngest: Readonly<Record<StreamFault, true>> = {
		...{ "no-identity": true, "not-an-envoy": true, "other-node": true, "other-gateway": true, "too-many": true },
	};
	const others = ["sender-not-granted", "assignment-changed"];
	others.push("client-left", "timed-out", "cut-short");
	for (const reason of [bySidecar, byEnvoy, byIngest].flatMap((all) => Object.keys(all)).concat(others))
		t.same(await decisions(rig, `reason=${reason}`), [], reason);
});

t.test("reasons of every execution", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const metadata = { plan: "callout", service: "shop", verdict: "deny", reason: "no-policy-allows", policy: "" };
	const cases: readonly (readonly [Partial<Entry>, string, string | null, string])[] = [
		[{ codeDetails: "rbac_access_denied_matched_policy[team/block]" }, "forbidden", "team/block", "envoy"],
		[{ codeDetails: "rbac_access_denied_matched_policy[(not_canonical_path)]" }, "not-canonical", null, "envoy"],
		[{ codeDetails: "rbac_access_denied_matched_policy[(no_single_identity)]" }, "no-single-identity", null, "envoy"],
		[{ codeDetails: "rbac_access_denied_matched_policy[(loop)]", status: 508 }, "loop-detected", null, "envoy"],
		[{ codeDetails: "jwt_authn_access_denied{Jwt_is_expired}", status: 401 }, "invalid-token", null, "envoy"],
		[{ codeDetails: "local_rate_limited", status: 429 }, "rate-limited", null, "envoy"],
		[{ codeDetails: "ext_authz_denied", plan: "callout", unit: null, metadata }, "no-policy-allows", null, "sidecar"],
		[
			{
				codeDetails: "weir_forbidden",
				plan: "callout",
				unit: null,
				metadata: { ...metadata, reason: "forbidden", policy: "p" },
			},
			"forbidden",
			"p",
			"sidecar",
		],
		[{ codeDetails: "weir_stale_table", plan: "callout", unit: null, status: 503 }, "stale-table", null, "sidecar"],
		// A gRPC denial has HTTP status 200.
		[{ status: 200 }, "no-policy-allows", null, "envoy"],
		[{ routeName: "", ...JUDGED }, "unknown-service", null, "envoy"],
	];
	await rig.send(cases.map(([over], index) => denied({ requestId: `r${index}`, ...over })));
	for (const [index, [, reason, policy, by]] of cases.entries()) {
		const [one, ...more] = await decisions(rig, `requestId=r${index}`);
		t.equal(more.length, 0);
		t.match(one, { kind: "denied", reason, policy, by, service: reason === "unknown-service" ? null : "shop" });
	}
	await rig.send([
		denied({ requestId: "up", codeDetails: "via_upstream" }),
		denied({ requestId: "nr", codeDetails: "route_not_found" }),
	]);
	t.same(await decisions(rig, "requestId=up"), [], "the Service's own 403 is no denial of access rules");
	t.same(await decisions(rig, "requestId=nr"), []);
});

t.test("the bypass probe is counted and leaves no record", async (t) => {
	const rig = await startRig({ allowedRecordsPpm: 1_000_000 });
	t.teardown(() => rig.close());
	const probe: Partial<Entry> = {
		requestId: "probe",
		method: "OPTIONS",
		path: "/.well-known/weir-probe",
		principal: "spiffe://a.test/weir/envoy/edge",
		headerBytes: 97,
		codeDetails: "rbac_access_denied_matched_policy[(not_canonical_path)]",
	};
	await rig.send([
		denied(probe),
		denied({ ...probe, plan: "callout", unit: null, codeDetails: "weir_not_canonical" }),
		denied({ ...probe, requestId: "control", principal: "spiffe://a.test/weir/control" }),
		// The rules in force allow it; shadow policies do not count.
		denied({
			...probe,
			codeDetails: "rbac_access_denied_matched_policy[x]",
			namespace: "envoy.filters.http.rbac",
			metadata: { weir_allow_shadow_engine_result: "allowed", weir_allow_shadow_effective_policy_id: "wide" },
		}),
		denied({ ...probe, requestId: "get", method: "GET" }),
		denied({ ...probe, requestId: "below", path: "/.well-known/weir-probe/x" }),
		denied({ ...probe, requestId: "passed", status: 200, codeDetails: "via_upstream" }),
		// Other callers of that path are recorded, or it would be a silent oracle for stolen tokens.
		denied({ ...probe, requestId: "web", principal: WEB }),
		denied({ ...probe, requestId: "token", headerBytes: 200 }),
		denied({ ...probe, requestId: "bad-token", status: 401, codeDetails: "jwt_authn_access_denied{Jwt_is_expired}" }),
		denied({ ...probe, requestId: "unanswered", status: 503, codeDetails: "ext_authz_error" }),
	]);
	const recorded = ["bad-token", "below", "control", "get", "passed", "token", "unanswered", "web"];
	t.same((await decisions(rig)).map(({ requestId }) => requestId).sort(), recorded);
	const refused = (by: string) => rig.meter.counts.get(seriesKey("weir_ingest_probes_refused_total", { by }));
	t.equal(refused("envoy"), 2);
	t.equal(refused("sidecar"), 1);
	t.same((await rig.call("GET", "/v1/requests?view=shadow&rules=all", "")).json, { changes: [], cut: false });
});

t.test("addresses of people in paths are masked, in records and in shadow counts", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const paths = ["/users/alice@example.com/orders/7", "/users/alice%40example.com", "/users/alice%2540example.com"];
	await rig.send(
		paths.flatMap((path, index) => [
			denied({ requestId: `r${index}`, path }),
			denied({
				requestId: `s${index}`,
				path,
				unit: null,
				status: 200,
				codeDetails: "via_upstream",
				namespace: "envoy.filters.http.rbac",
				metadata: { weir_deny_shadow_engine_result: "denied", weir_deny_shadow_effective_policy_id: "try" },
			}),
		]),
	);
	const all = await decisions(rig);
	t.same(all.map(({ path }) => path).sort(), ["/users/(masked)", "/users/(masked)", "/users/(masked)/orders/7"]);
	const shadow = JSON.stringify((await rig.call("GET", "/v1/requests?view=shadow&rules=all", "")).json);
	t.match(shadow, /\/users\/\(masked\)/);
	t.notMatch(shadow + JSON.stringify(all), /alice/);
});

t.test("what callers write cannot break a line, a terminal or the store", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const path = `/x\r\nverdict: allow\u001b[2J\u0085/${"y".repeat(5_000)}`;
	await rig.send([
		denied({ path, principal: "mailto:person@a.test" }),
		denied({ requestId: "r'; DROP TABLE decisions; --\n" }),
	]);
	const all = await decisions(rig);
	t.equal(all.length, 2);
	for (const one of all) {
		for (const text of [one.path, one.requestId]) {
			// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
			t.notMatch(text, /[\u0000-\u001f\u007f-\u009f]/);
			t.ok((text?.length ?? 0) <= ACCESS_RECORD_TEXT_CHARS_MAX * 6 + 1);
		}
	}
	t.ok(
		all.some(({ principal }) => principal === null),
		"an id that is not a SPIFFE id is not returned",
	);
	t.equal((await decisions(rig, `service=${encodeURIComponent("' OR 1=1 --")}`)).length, 0);
});

t.test("allowed requests: none, a share by request id, or all", async (t) => {
	const ids = Array.from(
		{ length: 400 },
		(_, index) =>
			`${index.toString(16).padStart(8, "0")}-0000-4000-8000-0000${(index * 7_919).toString(16).padStart(8, "0")}`,
	);
	const pseudonyms = createPseudonyms(new Uint8Array(32));
	for (const allowedDecisionsPpm of [0, 250_000, 1_000_000]) {
		const rig = await startRig({ allowedRecordsPpm: allowedDecisionsPpm });
		t.teardown(() => rig.close());
		await rig.send([
			...ids.map((requestId): Entry => ({ kind: "end", unit: boosted, requestId, startMs: START })),
			denied({ requestId: "denied" }),
		]);
		const all = await decisions(rig, "limit=1000");
		const expected = ids.filter((id) => Number(pseudonyms.request(id) % 1_000_000n) < allowedDecisionsPpm);
		t.equal(all.filter(({ kind }) => kind === "denied").length, 1);
		t.same(
			all
				.filter(({ kind }) => kind === "allowed")
				.map(({ requestId }) => requestId)
				.sort(),
			[...expected].sort(),
			String(allowedDecisionsPpm),
		);
		t.match(all.find(({ kind }) => kind === "allowed") ?? { verdict: "allow" }, { verdict: "allow" });
	}
});

t.test("a unit whose arm changes with the plan is reported once; old requests that end late are not", async (t) => {
	const ramped = planWith({
		...EXPERIMENT,
		arms: EXPERIMENT.arms.map((arm) => ({ ...arm, livePoints: 0 })),
	});
	const takeover = planWith({
		...EXPERIMENT,
		takeover: { arm: "boosted", variant: "v2", ppm: 1_000_000 },
		exposing: false,
	});
	const plans = { ...PLANS, p0: ramped, p3: takeover };
	const rig = await startRig({ plans: async (version) => plans[version as keyof typeof plans] ?? null });
	t.teardown(() => rig.close());
	const [control = ""] = unitsOf("control", 1);
	const end = (plan: string, unit: string, startMs: number): Entry => ({
		kind: "end",
		unit,
		requestId: `${plan}-${startMs}`,
		startMs,
		plan,
	});
	const sent = [
		end("p0", boosted, 1_000),
		end("p0", boosted, 2_000),
		end("p1", boosted, 3_000),
		end("p1", boosted, 4_000),
		// Began before the ramp, ends after it.
		end("p0", boosted, 2_500),
		end("p1", other, 3_000),
		end("p1", control, 3_000),
		end("p3", control, 5_000),
		end("p3", boosted, 5_000),
	];
	await rig.send(sent, { node: "edge", log: "weir|team/edge" });
	const changes = (await decisions(rig, "kind=assignment-changed")).map(
		({ formerArm, arm, plan, requestId, gateway, unit, experiment, verdict }) => ({
			formerArm,
			arm,
			plan,
			requestId,
			gateway,
			unit: unit?.length,
			experiment,
			verdict,
		}),
	);
	t.same(changes, [
		{
			formerArm: "control",
			arm: "boosted",
			plan: "p3",
			requestId: "p3-5000",
			gateway: "team/edge",
			unit: 32,
			experiment: "models",
			verdict: null,
		},
		{
			formerArm: null,
			arm: "boosted",
			plan: "p1",
			requestId: "p1-3000",
			gateway: "team/edge",
			unit: 32,
			experiment: "models",
			verdict: null,
		},
	]);
});

t.test("a change across a restart of ingest is reported once", async (t) => {
	const ramped = planWith({ ...EXPERIMENT, arms: EXPERIMENT.arms.map((arm) => ({ ...arm, livePoints: 0 })) });
	const plans: Readonly<Record<string, PlanTable>> = { ...PLANS, p0: ramped };
	const rig = await startRig({ plans: async (version) => plans[version] ?? null });
	t.teardown(() => rig.close());
	const end = (plan: string, unit: string, startMs: number): Entry => ({
		kind: "end",
		unit,
		requestId: `${plan}-${unit}-${startMs}`,
		startMs,
		plan,
	});
	const [control = "", second = ""] = unitsOf("control", 2);
	const changes = async () =>
		(await decisions(rig, "kind=assignment-changed")).map(({ formerArm, arm, requestId }) => [
			requestId,
			formerArm,
			arm,
		]);
	// In no arm, in one that does not expose, in one that does.
	await rig.send([end("p0", boosted, 1_000), end("promoting", control, 1_000), end("p1", second, 1_000)]);
	await rig.restart();
	await rig.send([
		end("p1", boosted, 2_000),
		end("p2", control, 2_000),
		end("p1", second, 2_000),
		end("p2", other, 2_000),
		// Began before what is known.
		end("p2", second, 500),
	]);
	const wanted = [
		[`p2-${control}-2000`, "control", "boosted"],
		[`p1-${boosted}-2000`, null, "boosted"],
	];
	t.same(await changes(), wanted, "a change of arm is recorded; the same arm and a new unit are not");
	await rig.restart();
	await rig.send([end("p1", boosted, 3_000), end("p2", control, 3_000)]);
	t.same(await changes(), wanted, "once");

	await rig.send([end("p2", boosted, 4_000)]);
	t.equal((await changes()).length, 3);
	await rig.ingest.close();
	const store = await openEventStore(join(rig.directory, "data"));
	await store.entries.transaction((transaction) => transaction.run("DELETE FROM entries WHERE start_us >= 4_000_000"));
	await store.close();
	await rig.reopen();
	await rig.send([end("p2", boosted, 5_000)]);
	t.equal((await changes()).length, 3, "recorded, though the request itself was lost with the process");
});

t.test("beyond the bound the unit seen longest ago is forgotten: its next arm is no change", async (t) => {
	const changes = new AssignmentChanges(2);
	const see = (unit: bigint, arm: string, plan: string, startUs: number) =>
		changes.see({ experiment: "models", unit, arm, plan, startUs });
	for (const unit of [1n, 2n, 1n, 3n]) t.equal(see(unit, "control", "p1", 1), null);
	t.equal(see(2n, "boosted", "p2", 2), null, "forgotten");
	t.same(see(3n, "boosted", "p2", 2), { formerArm: "control" });
	t.equal(see(3n, "boosted", "p3", 3), null, "the same arm by another plan");
	t.equal(see(3n, "control", "p1", 1), null, "a request that began before that");
	t.same(
		changes.see({ experiment: "others", unit: 3n, arm: null, plan: "p4", startUs: 4 }),
		null,
		"another Experiment",
	);
});

t.test("records are durable, asked for page by page, and pruned", async (t) => {
	const rig = await startRig({ allowedRecordsPpm: 1_000_000 });
	t.teardown(() => rig.close());
	await rig.send(Array.from({ length: 5 }, (_, index) => denied({ requestId: `r${index}`, startMs: START + index })));
	await rig.restart();
	await rig.send([denied({ requestId: "r5", startMs: START + 5 })]);
	const first = (await rig.call("GET", "/v1/requests?kind=denied&limit=4", "")).json as AccessRecordsAnswer;
	t.same(
		first.decisions.map(({ requestId }) => requestId),
		["r5", "r4", "r3", "r2"],
	);
	const second = (await rig.call("GET", `/v1/requests?kind=denied&limit=4&before=${first.next}`, ""))
		.json as AccessRecordsAnswer;
	t.same(
		second.decisions.map(({ requestId }) => requestId),
		["r1", "r0"],
	);
	t.equal(second.next, null);
	t.equal((await decisions(rig, `kind=denied&since=${START + 4}`)).length, 2);
	for (const bad of [
		"kind=nothing",
		"since=x",
		"limit=0",
		"limit=2000",
		"service=a&service=b",
		"unit=x",
		"view=x",
		"view=shadow&kind=denied",
		"among=try",
	]) {
		t.match(await rig.call("GET", `/v1/requests?${bad}`, ""), { status: 400 }, bad);
	}
	rig.nowMs += 31 * 24 * 60 * 60 * 1_000;
	await rig.ingest.maintain();
	t.same(await decisions(rig), []);
});

t.test("a full queue drops records and counts them", async (t) => {
	const store = await openEventStore(t.testdir());
	t.teardown(() => store.close());
	const meter = new TestMeter();
	const lines: string[] = [];
	const error = (message: string): void => void lines.push(message);
	const log = { info: error, warn: error, error };
	const queueMax = 50;
	const decisionLog = new AccessRecords({ store, clock: () => START, meter, log, allowedPpm: 0 }, queueMax);
	const entries = Array.from({ length: queueMax + 7 }, (_, index) => denied({ requestId: `r${index}` }));
	decodeMessage(encode(entries), (entry) =>
		decisionLog.ended({ entry, receivedMs: START, gateway: null, service: null, row: null }),
	);
	const counted = (result: string) =>
		meter.counts.get(seriesKey("weir_ingest_decision_records_total", { kind: "denied", result }));
	t.equal(counted("dropped"), 7);
	t.same(lines, ["access records are dropped: the queue is full"], "logged once");
	await decisionLog.queue.close();
	t.equal(counted("stored"), queueMax);
	const [row] = await store.accessRecords.transaction((lane) => lane.rows("SELECT count(*) AS n FROM decisions"));
	t.equal(Number(row?.n), queueMax);
});

t.test("the sidecar's record: by the plan that it answered by", async (t) => {
	const rig = await startRig({
		plans: async () =>
			planWith({ ...EXPERIMENT, unit: { from: "cookie", cookie: "id", maxAgeMs: 1 } }, { callout: CALLOUT }),
	});
	t.teardown(() => rig.close());
	const metadata = {
		plan: "p9",
		service: "shop",
		experiment: "models",
		arm: "boosted",
		variant: "v2",
		unit: boosted,
		verdict: "deny",
		reason: "forbidden",
		policy: "p",
	};
	await rig.send([denied({ unit: null, plan: "p8", codeDetails: "ext_authz_denied", metadata })]);
	t.match(await decisions(rig), [
		{ plan: "p9", experiment: "models", arm: "boosted", unit: /^[0-9a-f]{32}$/, policy: "p", by: "sidecar" },
	]);
	t.notOk(JSON.stringify(await decisions(rig)).includes(boosted));
});

t.test("behind a trusted proxy the record has the judged client and the proxy", async (t) => {
	const rig = await startRig({ allowedRecordsPpm: 1_000_000 });
	t.teardown(() => rig.close());
	const [proxy, boss] = ["spiffe://a.test/proxy", "spiffe://a.test/boss"];
	const why = { reason: "forbidden", policy: "p" };
	const metadata = { plan: "callout", service: "shop", verdict: "deny", ...why, shadow: "allow" };
	const asked = (requestId: string, over: Partial<Entry>) =>
		denied({ requestId, principal: proxy, plan: "callout", unit: null, codeDetails: "ext_authz_denied", ...over });
	await rig.send([
		asked("named", { metadata: { ...metadata, principal: boss, via: proxy } }),
		asked("let-on", {
			metadata: { ...metadata, verdict: "allow", shadow: "deny", principal: boss, via: proxy },
			codeDetails: "via_upstream",
			status: 200,
		}),
		asked("unnamed", { metadata: { ...metadata, via: proxy } }),
		asked("itself", { metadata }),
		asked("of-another", { metadata: { ...metadata, principal: boss, via: WEB } }),
	]);
	const byId = new Map((await decisions(rig)).map((one) => [one.requestId, one]));
	t.match(byId.get("named"), { kind: "denied", principal: boss, via: proxy });
	t.match(byId.get("let-on"), { kind: "allowed", principal: boss, via: proxy });
	t.match(byId.get("unnamed"), { principal: null, via: proxy });
	t.match(byId.get("itself"), { principal: proxy, via: null });
	t.match(byId.get("of-another"), { principal: proxy, via: null }, "Envoy has proved the peer: it is not that proxy");
	const found = (await decisions(rig, `principal=${encodeURIComponent(boss)}`)).map(({ requestId }) => requestId);
	t.same(found.sort(), ["let-on", "named"], "and is found by its client");
	const { json } = await rig.call(
		"GET",
		`/v1/requests?view=shadow&rules=all&principal=${encodeURIComponent(boss)}`,
		"",
	);
	t.match(
		json,
		{
			changes: [
				{ principal: boss, count: 1 },
				{ principal: boss, count: 1 },
			],
		},
		"shadow counts too",
	);
});
