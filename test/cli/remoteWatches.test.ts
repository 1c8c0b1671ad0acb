/** What is known of Envoys of other machines, while they, or those who answer for them, come and go, and over a restart. */
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import t, { type Test } from "tap";
import { type AdminPage, mostOf, type TakePart, unreadThere } from "../../src/access/bypass/reach.js";
import { alarmLines } from "../../src/cli/commands/alarms.js";
import type { ProbeReport } from "../../src/cli/roles/probeReport.js";
import { RemoteWatches } from "../../src/cli/roles/remoteWatches.js";
import { ATTENDANCE_COMES_MS, REMOTE_ENVOY_FORGOTTEN_MS, REMOTE_STALE_MS } from "../../src/limits.js";
import { readMemory } from "../../src/probe/memory.js";
import { probe } from "../../src/probe/probe.js";
import { createLog } from "../../src/telemetry/log.js";
import { createMeter } from "../../src/telemetry/meter.js";
import type { RemoteStream } from "../../src/xds/peer.js";
import type { Served } from "../../src/xds/served.js";
import { temporaryDirectory } from "./command.js";
import { planOf, taken } from "./probePlans.js";

const EAST = "spiffe://weir.local/weir/envoy/east";

/** One Envoy, as control sees it, with a Gateway that lets pass what it must not. */
async function scene(t: Test) {
	const gateway = createServer((_, response) => response.end("ok")).listen(0, "127.0.0.1");
	await once(gateway, "listening");
	const close = async (): Promise<void> => {
		gateway.closeAllConnections();
		await new Promise((resolve) => gateway.close(resolve));
	};
	t.teardown(close);
	const plan = planOf((gateway.address() as AddressInfo).port);
	const directory = join(await temporaryDirectory(t), "memories");
	const has = {
		...{ connected: true, attended: true, served: taken(plan) as Served | null, nowMs: 0, streams: 1, peers: ["east"] },
		/** Whether its keeper answers a probe now. */
		answers: async (_: string): Promise<void> => {},
		instance: null as string | null,
		/** Its keeper says hello, and is cut when that page is asked. */
		cuts: (_: AdminPage["page"]): boolean => false,
		/** It comes again whenever it is awaited. */
		comes: false,
		...{ ready: "LIVE", listeners: (): readonly string[] => ["edge"], counters: (): readonly string[] => [] },
	};
	const peer = (name: string): RemoteStream => {
		return { kind: "envoy", id: `spiffe://weir.local/weir/envoy/${name}`, name, instance: has.instance };
	};
	let cut = (): void => {};
	const page = async (_: string, asked: AdminPage, take: TakePart): Promise<number> => {
		if (has.attended && has.cuts(asked.page)) {
			has.attended = false;
			cut();
		}
		if (!has.attended) throw unreadThere("unattended", mostOf(asked));
		if (asked.page === "ready") await take(`${has.ready}\n`);
		if (asked.page === "server-info") await take('{"node": {"id": "east"}}');
		if (asked.page === "listeners")
			await take(JSON.stringify({ listener_statuses: has.listeners().map((name) => ({ name })) }));
		if (asked.page === "counters")
			await take(
				has
					.counters()
					.map((line) => `${line}\n`)
					.join(""),
			);
		return 200;
	};
	const start = (gateways: readonly string[] | null = ["edge"], patienceMs = 60_000) => {
		const lines: string[] = [];
		const meter = createMeter({ role: "xds" });
		const watches: RemoteWatches = new RemoteWatches({
			log: createLog({ role: "xds", write: (line) => void lines.push(line), environment: {} }),
			meter,
			planOf: async () => null,
			...{ intervalMs: 3_600_000, patienceMs },
			nowMs: () => has.nowMs,
			gatewaysOf: () => gateways,
			ids: [EAST],
			directory,
			server: {
				remotePeers: () => (has.connected ? has.peers.flatMap((name) => Array(has.streams).fill(peer(name))) : []),
				servedBy: () => has.served,
				mayBeClosed: () => new Set(),
				attendances: {
					get ids() {
						return has.attended ? has.peers.map((name) => peer(name).id) : [];
					},
					awaited: async () => {
						if (!has.comes) return;
						has.attended = true;
						watches.look();
					},
					page,
					probe: async (id, { way, host, guard }) => {
						await has.answers(id);
						return has.attended ? probe({ ...way, tls: null }, host, guard) : null;
					},
				},
			},
		});
		t.teardown(() => watches.close());
		cut = () => watches.attendance(EAST);
		const status = async () => alarmLines(watches.standing());
		/** The first round that is so: one may be under way from before. */
		const round = async (condition: (report: ProbeReport) => boolean): Promise<ProbeReport> => {
			for (; ; await turn()) {
				watches.attendance(EAST);
				const [first] = await watches.recent();
				if (first?.report != null && condition(first.report)) return first.report;
			}
		};
		return { watches, lines, status, round, metrics: () => meter.text() };
	};
	return { has, plan, start, directory, close };
}

const isAway = ({ unprobed }: ProbeReport): boolean => unprobed.some(({ why }) => why.startsWith("neither"));

const PASSED = /^ALARM probe-passed at Gateway edge of Envoy east: a request that every policy denies was not refused$/;
const UNCOUNTED = /^ALARM verdicts-uncounted at Gateway edge of Envoy east: .*its weir envoy does not answer control$/;
const UNATTENDED = /^not probed: Gateway edge of Envoy east: its weir envoy does not answer control: run this Envoy by/;
const NOT_YET = /^not probed: Gateway edge of Envoy east: its weir envoy has not answered control yet$/;
const AWAY = /^not probed: Gateway edge of Envoy east: neither it nor its weir envoy is connected to control$/;

t.test(
	"an alarm that stands is not ended by whoever goes, nor by a restart; in the end it is, and that is told",
	async (t) => {
		const { has, plan, start } = await scene(t);
		const first = start();
		first.watches.published(plan);
		t.match(await first.round(({ answers }) => answers.length > 0), {
			answers: Array(2).fill({ alarm: "probe-passed" }),
			unprobed: [],
		});
		t.match(await first.status(), [PASSED]);
		t.match(first.lines.join("\n"), /"alarm":"probe-passed".*"gateway":"edge"/);

		has.attended = false;
		const early = await first.round(({ answers }) => answers.length === 0);
		t.match(early.standing, Array(2).fill({ alarm: "probe-passed" }));
		has.nowMs += ATTENDANCE_COMES_MS - 1;
		await first.round(({ answers }) => answers.length === 0);
		t.match((await first.status()).toSorted(), [PASSED, NOT_YET], "it may only open its connection anew");
		has.nowMs += 1;
		const silent = await first.round(({ uncounted }) => uncounted.some(({ rounds }) => rounds > 1));
		t.same(silent.answers, []);
		t.match(silent.standing, Array(2).fill({ alarm: "probe-passed", service: "guarded" }));
		t.match((await first.status()).toSorted(), [PASSED, UNCOUNTED, UNATTENDED]);

		has.connected = false;
		t.match(await first.round(isAway), { standing: Array(2).fill({ alarm: "probe-passed" }) });
		t.match(
			(await first.status()).toSorted(),
			[PASSED, UNCOUNTED, AWAY],
			"nor does it end that its verdicts are not counted",
		);
		await first.watches.close();

		const second = start();
		await second.watches.recent();
		t.match(await second.status(), [PASSED], "before its first round");
		second.watches.published(plan);
		t.match(await second.round(isAway), { standing: Array(2).fill({ alarm: "probe-passed" }) });
		t.match(await second.status(), [PASSED, AWAY], "of one that has not come again since");
		has.nowMs += REMOTE_ENVOY_FORGOTTEN_MS - 1;
		second.watches.look();
		t.match(await second.status(), [PASSED, AWAY]);
		has.nowMs += 2;
		second.watches.look();
		t.same(await second.status(), []);
		t.notMatch(await second.metrics(), /^weir_probe_\w+\{[^}]*envoy="east"[^}]*\} 1$/m, "nor is it in metrics");
		t.match(second.lines.join("\n"), /an Envoy has been away for so long.*"envoy":"east"/);
		t.same(await second.watches.recent(), []);
	},
);

t.test("a keeper that says hello and answers nothing is one that does not answer, and ends no alarm", async (t) => {
	const { has, plan, start } = await scene(t);
	const { watches, status, round, metrics } = start();
	watches.published(plan);
	await round(wasProbed);
	const told = async () => (await status()).toSorted();
	const isNotYet = ({ unprobed }: ProbeReport): boolean => unprobed.some(({ why }) => why.includes("yet"));
	has.comes = true;
	has.cuts = () => true;
	await round(isNotYet);
	has.nowMs += ATTENDANCE_COMES_MS - 1;
	await round(isNotYet);
	t.match(await told(), [PASSED, NOT_YET]);
	has.nowMs += 1;
	await round(({ uncounted }) => uncounted.some(({ rounds }) => rounds > 1));
	t.match(await told(), [PASSED, UNCOUNTED, UNATTENDED]);
	t.match(await metrics(), /^weir_probe_alarm\{[^}]*alarm="verdicts-uncounted"[^}]*\} 1$/m);

	// As one of a machine that is starved.
	has.cuts = (page) => page === "counters";
	const { uncounted } = await round(({ unprobed }) => unprobed.length === 0);
	t.match(await told(), [PASSED, UNCOUNTED]);
	has.cuts = () => true;
	t.match((await round(isNotYet)).uncounted, uncounted);
	t.match(await told(), [PASSED, UNCOUNTED, NOT_YET], "it may be about to come, but what stood stands");
	t.match(await metrics(), /^weir_probe_alarm\{[^}]*alarm="verdicts-uncounted"[^}]*\} 1$/m);
	has.ready = "INITIALIZING";
	has.cuts = () => false;
	await round(({ unprobed }) => unprobed.some(({ why }) => why.includes("starting")));
	t.match(await told(), [PASSED, UNCOUNTED, /starting/]);

	has.ready = "LIVE";
	await round(wasProbed);
	t.match(await told(), [PASSED], "by an answer it ends");
});

t.test("what nobody answered is no alarm of an Envoy that is away: that it is away is told", async (t) => {
	const { has, plan, start, close } = await scene(t);
	await close();
	const { watches, status, round } = start();
	watches.published(plan);
	await round(({ answers }) => answers.length > 0);
	t.match(await status(), [/^ALARM probe-unanswered at Gateway edge of Envoy east: /]);
	has.attended = false;
	has.connected = false;
	t.same((await round(isAway)).standing, []);
	t.match(await status(), [AWAY]);
});

t.test("one that was seen lately is not forgotten for having been there for long", async (t) => {
	const { has, plan, start } = await scene(t);
	const { watches, status } = start();
	watches.published(plan);
	await watches.recent();
	has.nowMs += 2 * REMOTE_ENVOY_FORGOTTEN_MS;
	watches.look();
	has.attended = false;
	has.connected = false;
	watches.look();
	t.match(await status(), [PASSED]);
	t.equal((await watches.recent()).length, 1);
});

t.test("an Envoy that nobody answers for from the beginning is told", async (t) => {
	const { has, plan, start } = await scene(t);
	has.attended = false;
	const { watches, status, round } = start();
	watches.published(plan);
	await watches.recent();
	t.match(await status(), [NOT_YET]);
	has.nowMs += ATTENDANCE_COMES_MS;
	t.match(await round(({ uncounted }) => uncounted.length > 0), {
		answers: [],
		unprobed: [{ gateway: "edge" }],
		uncounted: [{ gateway: "edge" }],
	});
	t.match((await status())[0], UNATTENDED);
	await round(({ uncounted }) => uncounted.some(({ rounds }) => rounds > 1));
	const told = [/^ALARM verdicts-uncounted at Gateway edge of Envoy east: /, UNATTENDED];
	t.match((await status()).toSorted(), told);
	has.connected = false;
	watches.look();
	has.nowMs += 600;
	has.connected = true;
	watches.look();
	await round(({ uncounted }) => uncounted.length > 0);
	t.match((await status()).toSorted(), told, "xDS opened its connection anew");
	t.ok(watches.tells("edge"), "and this machine's own watch need not tell of it");
	t.notOk(watches.tells("inner"));
});

t.test("Gateways that are not its own are not asked of it", async (t) => {
	const { has, plan, start } = await scene(t);
	has.served = new Map();
	const { watches, status } = start(["inner"]);
	watches.published({ ...plan, version: "2" });
	await watches.recent();
	t.notMatch((await status()).join("\n"), /not probed/);
});

t.test("where several Envoys share an id one of them is probed, and that is told once it stays so", async (t) => {
	const { has, plan, start } = await scene(t);
	const { watches, status, round } = start();
	watches.published(plan);
	has.streams = 2;
	await round(({ answers }) => answers.length > 0);
	t.notMatch((await status()).join("\n"), /not probed/, "one that opens its connection anew has two for a moment");
	has.nowMs += REMOTE_STALE_MS;
	await round(wasProbed);
	t.notMatch((await status()).join("\n"), /not probed/, "nor is one that the network forgot seen to be dead before");
	has.nowMs += 1;
	has.instance = "a";
	await round(wasProbed);
	t.notMatch((await status()).join("\n"), /not probed/, "those of one process are one Envoy's");
	has.instance = null;
	watches.look();
	has.nowMs += REMOTE_STALE_MS + 1;
	await round(({ unprobed }) => unprobed.length > 0);
	t.match((await status()).join("\n"), /not probed: Gateway edge of Envoy east: other Envoys have its SPIFFE id too/);
});

t.test(
	"that what was known of an Envoy that is away is lost is told, and over restarts, until it is forgotten",
	async (t) => {
		const { has, plan, start, directory } = await scene(t);
		const first = start();
		first.watches.published(plan);
		await first.round(wasProbed);
		await first.watches.close();
		const [file = ""] = await readdir(directory);
		await writeFile(join(directory, file), "torn");
		has.attended = false;
		has.connected = false;
		const LOST = /^ALARM probe-memory-lost of Envoy east: /;
		for (const _ of ["torn", "laid aside"]) {
			const next = start();
			await next.watches.recent();
			t.match(await next.status(), [LOST], "before anything is published");
			next.watches.published(plan);
			t.match((await next.round(isAway)).forgotten, [{ alarm: "probe-memory-lost" }]);
			t.match(await next.status(), [LOST, AWAY]);
			t.equal(next.lines.join("").match(/what the built-in probe knew is lost/g)?.length, 1, "the log says it once");
			await next.watches.close();
		}
		const last = start();
		last.watches.published(plan);
		has.nowMs += REMOTE_ENVOY_FORGOTTEN_MS + 1;
		last.watches.look();
		t.same(await last.status(), []);
		while ((await readdir(directory)).length > 0) await turn();
	},
);

t.test("each has a memory of its own", async (t) => {
	const { plan, start, directory } = await scene(t);
	const { watches } = start();
	watches.published(plan);
	await watches.recent();
	await watches.close();
	t.match(await readdir(directory), [/^[0-9a-f]{64}$/]);
});

const wasProbed = ({ answers }: ProbeReport): boolean => answers.length > 0;

t.test("what an Envoy says of Gateways that it was not given has no name of its choosing", async (t) => {
	const { has, plan, start } = await scene(t);
	const { watches, status, round, lines, metrics } = start();
	watches.published(plan);
	let moved = 0;
	let named = "x";
	has.counters = () => {
		moved++;
		return [
			...["edge", "x", "y"].map((name) => `connection_limit.gateway.${name}.limited_connections: ${moved}`),
			`http.gateway.${named}.downstream_rq_active: 0`,
			`access_logs.grpc_access_log.logs_dropped: ${moved}`,
		];
	};
	const told = async () => {
		const { refused, dropped } = await round(({ dropped }) => dropped.length > 0);
		return [refused, dropped].map((all) => all.map(({ gateway }) => gateway));
	};
	t.same(await told(), [["edge"], [""]]);
	t.match((await status()).toSorted(), [
		/^ALARM connections-refused at Gateway edge of Envoy east: /,
		/^ALARM entries-dropped of Envoy east: /,
		PASSED,
	]);
	t.notMatch(lines.join("\n"), /"gateway":"[xy]"/);
	t.notMatch(await metrics(), /gateway="[xy]"/);
	t.match(await metrics(), /^weir_probe_alarms_standing\{[^}]*envoy="east"\} 3$/m);
	named = "edge";
	t.same(await told(), [["edge"], ["edge"]]);
	const edge = has.served?.get("edge");
	if (edge !== undefined) has.served = new Map([...(has.served ?? []), ["x", edge]]);
	t.same(await told(), [["edge", "x"], ["edge"]], "one that it was given, and that is declared no more, has one");
});

t.test("a listener with the name of another Envoy's Gateway is a foreign one", async (t) => {
	const { has, plan, start } = await scene(t);
	has.listeners = () => ["edge", "inner"];
	const inner = plan.gateways.map((one) => ({ ...one, metadata: { ...one.metadata, name: "inner" } }));
	const { watches, status, round } = start();
	watches.published({ ...plan, gateways: [...plan.gateways, ...inner] });
	await round(wasProbed);
	t.match((await round(wasProbed)).foreign, [{ alarm: "foreign-listener", listener: "inner" }]);
	t.match((await status()).join("\n"), /^ALARM foreign-listener of Envoy east: /m);
	const edge = has.served?.get("edge");
	if (edge !== undefined) has.served = new Map([...(has.served ?? []), ["inner", edge]]);
	t.same((await round(wasProbed)).foreign, [], "it was given that one");
	has.listeners = () => ["edge", "mine"];
	await round(({ foreign }) => foreign.length > 0);
	has.attended = false;
	has.connected = false;
	await round(isAway);
	t.match((await status()).join("\n"), /^ALARM foreign-listener of Envoy east: /m, "that it goes ends nothing");
});

t.test(
	"what counters have shown stands while it is away, and none are remembered of what nobody declared",
	async (t) => {
		const { has, plan, start, directory } = await scene(t);
		let moved = 0;
		has.counters = () => {
			moved++;
			return [
				...["guarded", "nobody"].map((name) => `cluster.${name}/v1.upstream_rq_total: ${moved}`),
				"http.gateway.edge.downstream_rq_active: 0",
			];
		};
		const first = start();
		first.watches.published(plan);
		await first.round(({ past }) => past.length > 0);
		has.attended = false;
		has.connected = false;
		t.match((await first.round(isAway)).past, [{ alarm: "served-past-gateways", service: "guarded" }]);
		const told = [/^ALARM probe-passed/, /^ALARM served-past-gateways of Envoy east: /, AWAY];
		t.match((await first.status()).toSorted(), told);
		await first.watches.close();
		const [file = ""] = await readdir(directory);
		const { reading } = await readMemory(await readFile(join(directory, file)));
		t.same(
			[...(reading?.last.keys() ?? [])].filter((name) => name.startsWith("cluster.")),
			["cluster.guarded/v1.upstream_rq_total"],
		);
		const second = start();
		second.watches.published(plan);
		await second.round(isAway);
		t.match((await second.status()).toSorted(), told);
	},
);

t.test("of many foreign listeners some are named, in the log and in what is told, and of all the number", async (t) => {
	const { has, plan, start } = await scene(t);
	let round = 0;
	has.listeners = () => {
		round++;
		return ["edge", ...Array.from({ length: 5_000 }, (_, at) => `${"n".repeat(5_000)}-${round}-${at}`)];
	};
	const { watches, lines, round: next } = start();
	watches.published(plan);
	await next(wasProbed);
	await next(wasProbed);
	const told = lines.length;
	const { foreign } = await next(wasProbed);
	t.equal(foreign.length, 20);
	t.match(foreign.at(-1), { more: 4_980 });
	const fresh = lines.slice(told).filter((line) => line.includes("foreign-listener"));
	t.equal(fresh.length, 20, "each is new");
	t.match(fresh.at(-1), /"more":4980/);
	t.ok(fresh.join("\n").length < 20_000, `${fresh.join("\n").length} characters`);
	t.match(
		lines.filter((line) => line.includes("weir_probe")),
		[],
	);
});

t.test("an Envoy that says for ever that it is starting is named", async (t) => {
	const { has, plan, start } = await scene(t);
	has.ready = "INITIALIZING";
	const { watches, status } = start();
	watches.published(plan);
	const [first] = await watches.recent();
	t.match(first?.report, { answers: [], unprobed: [{ gateway: "edge", why: /starting/ }] });
	t.match(await status(), [/^not probed: Gateway edge of Envoy east: .*starting/]);
	has.ready = "LIVE";
	const [second] = await watches.recent();
	t.match(second?.report, { answers: Array(2).fill({ alarm: "probe-passed" }), unprobed: [] });
	t.match(await status(), [PASSED]);
	has.ready = "INITIALIZING";
	watches.attendance(EAST);
	t.match((await watches.recent())[0]?.report?.standing, Array(2).fill({ alarm: "probe-passed" }), "what stood stands");
});

t.test("`weir status` tells of all Gateways of many Envoys", async (t) => {
	const { has, plan, start } = await scene(t);
	has.attended = false;
	const names = Array.from({ length: 40 }, (_, at) => `g${at}`);
	const gateways = names.flatMap((name) =>
		plan.gateways.map((one) => ({ ...one, metadata: { ...one.metadata, name } })),
	);
	const table = {
		...plan.table,
		gateways: names.flatMap((name) => plan.table.gateways.map((one) => ({ ...one, name }))),
	};
	has.peers = Array.from({ length: 50 }, (_, at) => `east-${at}`);
	has.served = taken({ ...plan, gateways, table });
	const { watches, status } = start(names);
	watches.published({ ...plan, gateways, table });
	await watches.recent();
	const wanted = has.peers.flatMap((envoy) =>
		names.map((gateway) => `not probed: Gateway ${gateway} of Envoy ${envoy}`),
	);
	const told = (await status()).filter((line) => /^not probed/.test(line)).map((line) => line.split(":", 2).join(":"));
	t.equal(told.length, 2_000);
	t.same(new Set(told), new Set(wanted));
});

t.test("one whose round takes long keeps nobody from hearing of the others, nor their alarms", async (t) => {
	const { has, plan, start } = await scene(t);
	has.peers = ["east", "west"];
	let release = (): void => {};
	const hang = (): void => {
		const released = new Promise<void>((resolve) => {
			release = resolve;
		});
		has.answers = (id) => (id === EAST ? released : Promise.resolve());
	};
	hang();
	const { watches, status } = start(["edge"], 100);
	watches.published(plan);
	const told = async (condition: (east: ProbeReport, west: ProbeReport) => boolean) => {
		for (; ; await turn()) {
			const [east, west] = (await watches.recent()).map(({ report }) => report);
			if (east != null && west != null && condition(east, west)) return { east, west };
		}
	};
	const isLate = ({ unprobed }: ProbeReport): boolean => unprobed.some(({ why }) => /its round takes long/.test(why));
	const first = await told((east, west) => isLate(east) && west.answers.length > 0);
	t.match(first.west.answers, Array(2).fill({ alarm: "probe-passed" }));
	t.match(first.east, { answers: [], standing: [], unprobed: [{ gateway: "edge" }] });
	const WEST_PASSED = /^ALARM probe-passed at Gateway edge of Envoy west: /;
	const LATE = /^not probed: Gateway edge of Envoy east: its round takes long/;
	t.match((await status()).toSorted(), [WEST_PASSED, LATE], "in weir status, too");
	release();
	await told((east) => east.answers.length > 0);
	t.match((await status()).toSorted(), [PASSED, WEST_PASSED]);
	hang();
	watches.attendance(EAST);
	const again = await told((east) => isLate(east));
	t.match(again.east.standing, Array(2).fill({ alarm: "probe-passed", service: "guarded" }), "what stood stands");
	t.match((await status()).toSorted(), [PASSED, WEST_PASSED, LATE]);
	release();
	await told((east) => !isLate(east));
});
