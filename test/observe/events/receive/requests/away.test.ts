/**
 * While ingest is away Envoy's entries are lost. Of a request that begins then the end is heard where it comes late enough:
 * the slower arm's. Such requests count for no unit, whichever of their entries arrive.
 */
import t from "tap";
import { compileAssignment } from "../../../../../src/compile/assignment/assign.js";
import { mutualTls, spiffe } from "../../../../compile/access/mutualTls.js";
import { bootstrapOf, startEnvoy } from "../../../../envoy/harness.js";
import {
	accessPolicy,
	experiment,
	gateway,
	PATIENT,
	resourceSet,
	service,
	variant,
} from "../../../../fixtures/resources.js";
import { startUpstream } from "../../../../fixtures/upstream.js";
import { type Entry, metric, query, startLiveRig, startRig, unitsOf } from "../../rig.js";

const T0 = 1_000_000;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** By the window; the last per request. */
const asked = (windowMs: number) => [
	metric("errors", { windowMs }),
	metric("revenue", { windowMs }),
	metric("accuracy", { windowMs, denominator: "requests", missing: "zero" }),
	metric("score", { windowMs, denominator: "requests", missing: "zero", covariateMs: 100_000 }),
];

for (const plan of ["claim", "p1"])
	t.test(`${plan === "p1" ? "a header" : "a claim"}: both arms keep their requests over two restarts`, async (t) => {
		const rig = await startRig();
		t.teardown(() => rig.close());
		const arms = ["control", "boosted"].map((arm) => unitsOf(arm, 3));
		const of = (kind: Entry["kind"], requestId: string, unit: string, startMs: number): Entry => ({
			kind,
			requestId: `${requestId}-${unit}`,
			unit: plan === "claim" && kind === "start" ? null : unit,
			startMs,
			plan,
		});
		const begun = (...one: [string, string, number]) => [of("start", ...one), of("sent", ...one)];
		const each = (make: (known: string, unknown: string, later: string, slow: boolean) => Entry[]) =>
			rig.send(arms.flatMap(([known = "", unknown = "", later = ""], arm) => make(known, unknown, later, arm === 1)));
		await each((known) => [...begun("hung", known, T0), ...begun("ended", known, T0), of("end", "ended", known, T0)]);
		rig.nowMs = T0 + 60_001;
		await rig.send([{ kind: "end", unit: null, requestId: "later", startMs: rig.nowMs }]);
		await rig.restart();
		// Only the slower arm's requests from the outage have entries, after one restart and after two.
		const awayMs = T0 + 60_002;
		await each((known, unknown, later, slow) =>
			[known, unknown, later].flatMap((unit) =>
				slow ? [of("sent", "away", unit, awayMs), of("periodic", "away", unit, awayMs)] : [],
			),
		);
		await rig.restart();
		rig.nowMs = T0 + 60_003;
		await each((known, unknown, later, slow) => [
			...[known, unknown, later].flatMap((unit) => (slow ? [of("end", "away", unit, awayMs)] : [])),
			...begun("after", later, rig.nowMs),
			of("end", "after", later, rig.nowMs),
		]);
		for (const [known = "", , later = ""] of arms)
			for (const requestId of [`away-${known}`, `after-${later}`])
				for (const name of ["revenue", "accuracy"]) await rig.post({ metric: name, value: 1, requestId });
		rig.nowMs += 200_000;
		const evidence = await rig.ingest.evidence.evidence(query(...asked(100_000)));
		t.same(evidence.exposures[0]?.counts, { boosted: 2, control: 2 });
		for (const { arm, metrics } of evidence.arms) {
			t.match(metrics.errors, { n: 2, mean: 0.25 }, `${arm}: one of two failed, and none of one`);
			t.match(metrics.revenue, { n: 1, mean: 1 }, `${arm}: by the id of a request that was heard of`);
			t.match(metrics.accuracy?.co, { n: 2, means: [0.5, 1.5] }, `${arm}: two requests and one`);
			t.match(metrics.score?.co, { n: 2, means: [0, 1.5, 0, 0] }, `${arm}: and none before`);
		}
	});

t.test("behind a real Envoy, on a protected Service and an open one", { timeout: 60_000 }, async (t) => {
	const tls = await mutualTls(t);
	const held: (() => void)[] = [];
	const fast = await startUpstream(t, (_, response) => response.end());
	const slow = await startUpstream(t, ({ url }, response) => {
		if (url === "/slow") held.push(() => response.end());
		else response.end();
	});
	const { rig, planOf, collectors } = await startLiveRig(t);
	const names = ["guarded", "open"];
	const callout = { ...PATIENT, access: "native" } as const;
	const plan = planOf(
		resourceSet({
			gateways: [gateway({ tls: tls.gateway })],
			services: names.map((name) =>
				service(name, [variant("v1", fast), variant("v2", slow)], { access: name === "open" ? "open" : null, callout }),
			),
			experiments: names.map((name) => experiment(`of-${name}`, name, [1, 1], { stepsPpm: [1_000_000] })),
			accessPolicies: [accessPolicy("alice", "allow", ["guarded"], { principals: [spiffe("alice")] })],
		}),
	);
	const envoy = await startEnvoy(t, bootstrapOf(plan, collectors), {});
	const session = await tls.http2(envoy.port(), "alice");
	/** Two units of each arm of each Service. */
	const people = plan.table.services.flatMap(({ name, experiments: [table] }) => {
		const arm = table === undefined ? () => null : compileAssignment(table).arm;
		const ids = Array.from({ length: 100 }, (_, index) => `u-${index}`);
		return table?.arms.map((one) => ({ name, units: ids.filter((id) => arm(id) === one.name) })) ?? [];
	});
	/** One request of the unit in that place of each arm; resolves with its id once it is answered. */
	const sendAll = (place: number, path: string) =>
		people.map(
			({ name, units }) =>
				new Promise<string>((resolve, reject) => {
					const stream = session.request({
						":path": path,
						":authority": `${name}.test`,
						"x-user-id": units[place] ?? "",
					});
					stream.on("error", reject);
					stream.on("response", (headers) => resolve(String(headers["x-request-id"])));
					stream.resume();
				}),
		);
	const evidenceOf = (name: string) =>
		rig.ingest.evidence.evidence({ ...query(...asked(8_000)), experiment: `of-${name}`, service: name });
	const exposed = async (each: number): Promise<void> => {
		for (const name of names)
			for (;;) {
				const { arms } = await evidenceOf(name);
				if (arms.length === 2 && arms.every(({ exposedUnits }) => exposedUnits >= each)) break;
				await sleep(100);
			}
	};
	await Promise.all(sendAll(0, "/"));
	await exposed(1);
	await rig.ingest.close();
	const away = [...sendAll(0, "/slow"), ...sendAll(1, "/slow")];
	while (held.length < 4) await sleep(20);
	// Envoy tries to send them every 200 ms.
	await sleep(1_000);
	await rig.reopen();
	// A periodic entry of the open request.
	await sleep(1_500);
	for (const answer of held) answer();
	const ids = await Promise.all([...away, ...sendAll(2, "/")]);
	await exposed(2);
	await rig.post(ids.map((requestId) => ({ metric: "revenue", value: 1, requestId })));
	for (const name of names) {
		let { arms } = await evidenceOf(name);
		// Until its windows are over.
		while (!arms.every(({ metrics }) => (metrics.accuracy?.co?.n ?? 0) >= 2)) {
			await sleep(100);
			({ arms } = await evidenceOf(name));
		}
		t.match(
			arms.map(({ exposedUnits, metrics }) => [exposedUnits, metrics.errors, metrics.revenue, metrics.accuracy?.co]),
			[1, 2].map(() => [2, { n: 1, mean: 0 }, { n: 1, mean: 1 }, { n: 2, means: [0, 1] }]),
			`${name}: who came before and after, and of what came meanwhile nothing`,
		);
	}
});
