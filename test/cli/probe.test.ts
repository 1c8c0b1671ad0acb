/** The alarm of a bypass, from a Gateway that lets the probe pass to the line of `weir status`; and its end. */

import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { ALARM_WORDS, alarmLines } from "../../src/cli/commands/alarms.js";
import { type WatchOptions, watchForBypass } from "../../src/cli/roles/probe.js";
import type { Declared } from "../../src/cli/roles/probedPlans.js";
import { localReach } from "../../src/cli/stack/localReach.js";
import { WeirError } from "../../src/error.js";
import type { Identity } from "../../src/identity/svid.js";
import { createLog } from "../../src/telemetry/log.js";
import { createMeter } from "../../src/telemetry/meter.js";
import type { GatewayServed, Served } from "../../src/xds/served.js";
import { mutualTls, spiffe } from "../access/mutualTls.js";
import { mutualApi } from "../state/mutualApi.js";
import { weir } from "./command.js";
import { operatorCommand } from "./operatorCommand.js";
import { hostsOf, planOf, routesOf, taken } from "./probePlans.js";

/** A listener that answers so. */
async function listening(t: Test, answer: RequestListener): Promise<Server> {
	const server = createServer(answer);
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.teardown(() => server.close());
	return server;
}

/** A watch that makes no rounds by itself, of an Envoy with the Gateway `edge`; its log goes nowhere. */
async function watching(
	t: Test,
	{
		write = () => {},
		isLive = () => true,
		identity = null,
		adminSocket,
		...more
	}: Partial<WatchOptions> & {
		readonly adminSocket?: string;
		readonly identity?: Identity | null;
		readonly write?: (line: string) => void;
		readonly isLive?: () => boolean;
	} = {},
) {
	const admin = adminSocket ?? (await startAdmin(t, edgeAlone(isLive))).socket;
	const has: { served: Served | null } = { served: null };
	const watch = watchForBypass({
		log: createLog({ role: "xds", write, environment: {} }),
		meter: createMeter({ role: "xds" }),
		reach: localReach(admin, identity),
		// One elsewhere.
		connected: (node) => node === undefined,
		served: () => has.served,
		planOf: async () => null,
		intervalMs: 3_600_000,
		...more,
	});
	t.teardown(() => watch.close());
	return {
		...watch,
		/** Published, and taken by the Envoy. */
		serve: (plan: Declared, but: Partial<GatewayServed> = {}): void => {
			has.served = taken(plan, but);
			watch.published(plan);
		},
		have: (served: Served): void => {
			has.served = served;
		},
		/** The Envoy has no Gateway any more. */
		lose: (): void => {
			has.served = new Map();
		},
		/** The Envoy is away. */
		leave: (): void => {
			has.served = null;
		},
	};
}

t.test("a Gateway that does not refuse raises an alarm, and one that does again ends it", async (t) => {
	let refuses = false;
	const asked: string[] = [];
	const gateway = createServer((request, response) => {
		asked.push(`${request.method} ${request.url} ${request.headers.host}`);
		const gate = request.headers["x-http-method-override"] !== undefined;
		if (refuses) response.writeHead(403).end(`access denied: ${gate ? "not-canonical" : "forbidden"}\n`);
		else response.end("ok");
	});
	await new Promise<void>((resolve) => gateway.listen(0, "127.0.0.1", resolve));
	t.teardown(() => {
		gateway.closeAllConnections();
		gateway.close();
	});
	const plan = planOf((gateway.address() as AddressInfo).port);
	const lines: string[] = [];
	const meter = createMeter({ role: "xds" });
	let live = false;
	const watch = await watching(t, { write: (line) => lines.push(line), meter, isLive: () => live });
	watch.serve(plan);
	await watch.round();
	t.same(asked, [], "where no Envoy is there yet there is nothing to ask");
	live = true;
	await watch.round();
	t.same(asked, Array(2).fill("OPTIONS /.well-known/weir-probe guarded.test"));
	t.match(
		lines,
		Array(2).fill(/"level":"error".*"alarm":"probe-passed".*"gateway":"edge".*"service":"guarded".*"status":200/),
	);
	t.same(alarmLines(watch.standing()), [
		"ALARM probe-passed at Gateway edge: a request that every policy denies was not refused",
	]);
	refuses = true;
	asked.length = 0;
	await Promise.all(Array.from({ length: 50 }, () => watch.round()));
	t.equal(asked.length, 2, "who asks while a round is under way is told of that one");
	const [first, second] = [await watch.recent(), await watch.recent()];
	t.equal(asked.length, 4);
	t.equal(second, first, "and who asks soon after it is told of it too");
	watch.serve(plan, { coming: new Map() });
	await watch.recent();
	t.equal(asked.length, 4, "what is on its way lacks it, so that nothing there is certain");
	watch.serve(plan);
	await watch.recent();
	t.equal(asked.length, 6, "and none is told of a round before what is served now");
	t.equal(lines.length, 2);
	t.same(alarmLines(watch.standing()), []);
	const metrics = await meter.text();
	t.match(metrics, /weir_probe_alarms_total\{[^}]*alarm="probe-passed"[^}]*\} 2/);
	t.match(metrics, /weir_probe_alarm\{[^}]*alarm="probe-passed",gateway="edge",envoy=""\} 0/);
	gateway.closeAllConnections();
	await new Promise((resolve) => gateway.close(resolve));
	await watch.round();
	t.match(alarmLines(watch.standing()), [/probe-unanswered at Gateway edge/]);
	const unanswered = lines.slice(2).join("\n");
	t.match(unanswered, /"message":"the probe was given no verdict".*"why":"ECONNREFUSED: /);
	t.notMatch(unanswered, /get past/, "what nobody answered has got past nothing");
});

t.test(
	"where control is there before a sidecar, no error is told of the moment between; of a longer one it is",
	async (t) => {
		let isJudged = false;
		const gateway = await listening(t, (request, response) => {
			const gate = request.headers["x-http-method-override"] !== undefined;
			if (gate || isJudged) response.writeHead(403).end(`access denied: ${gate ? "not-canonical" : "forbidden"}\n`);
			else response.writeHead(503).end("unavailable\n");
		});
		const plan = planOf((gateway.address() as AddressInfo).port);
		const started = async () => {
			const lines: string[] = [];
			const watch = await watching(t, { write: (line) => lines.push(line) });
			watch.serve(plan);
			await watch.round();
			return { watch, errors: () => lines.filter((line) => line.includes('"level":"error"')) };
		};
		const first = await started();
		t.same(first.errors(), []);
		t.match(alarmLines(first.watch.standing()), [/^ALARM probe-unanswered/], "who asks is told");
		isJudged = true;
		await first.watch.round();
		isJudged = false;
		t.same([first.errors(), alarmLines(first.watch.standing())], [[], []]);
		await first.watch.round();
		t.match(first.errors(), [/"alarm":"probe-unanswered"/], "one that comes later is told at once");
		const second = await started();
		await second.watch.round();
		t.match(second.errors(), [/"alarm":"probe-unanswered"/]);
	},
);

t.test("an identity that has ended is named in the log, with what to do", async (t) => {
	const lines: string[] = [];
	const ended = (): never => {
		throw new WeirError("unavailable", "the identity from SOCKET ended at DATE", "is weir ca running?");
	};
	const watch = await watching(t, {
		write: (line) => lines.push(line),
		identity: { current: ended, onRotated: () => () => {}, idOf: () => null },
	});
	watch.serve(planOf(9, ", tls: {identity: mesh}"));
	await watch.round();
	const why = '"why":"unavailable: the identity from SOCKET ended at DATE; is weir ca running?"';
	t.equal(lines.filter((line) => line.includes(why)).length, 2, lines.join("\n"));
});

t.test(
	"weir probe tells what each listener answered, and ends with 1 on an alarm or where nothing was probed",
	async (t) => {
		let body = "access denied: forbidden\n";
		const gateway = createServer((_, response) => response.writeHead(403).end(body));
		await new Promise<void>((resolve) => gateway.listen(0, "127.0.0.1", resolve));
		t.teardown(() => gateway.close());
		let live = false;
		let others: readonly object[] = [];
		const pages = edgeAlone(() => live);
		const admin = await startAdmin(t, (request, response) => {
			if (request.url?.startsWith("/listeners") !== true) return pages(request, response);
			response.end(JSON.stringify({ listener_statuses: [{ name: "edge" }, ...others] }));
		});
		const watch = await watching(t, { adminSocket: admin.socket });
		const { port } = gateway.address() as AddressInfo;
		const serve = (tls = ""): void => watch.serve(planOf(port, tls));
		serve();
		const made = await mutualApi(t, {
			mounts: {
				"/v1/probe": {
					needs: "read",
					methods: ["POST"],
					takesBody: true,
					recorded: "probe",
					handle: (_, response) =>
						void watch.round().then((report) => response.writeHead(200).end(JSON.stringify(report))),
				},
			},
		});
		const { local, as } = await operatorCommand(t, made);
		t.match(await local("probe"), { code: 1, stderr: /no Envoy is connected/ });
		live = true;
		t.match(await local("probe"), {
			code: 1,
			out: "ALARM  Gateway edge  Service guarded  gate   403 forbidden  probe-misjudged: the filter that must refuse the built-in probe did not, another one did\nok     Gateway edge  Service guarded  rules  403 forbidden\n",
		});
		body = "secret of an upstream";
		const passed = await local("probe", "--json");
		t.match(JSON.parse(passed.out), { answers: Array(2).fill({ status: 403, reason: null, alarm: "probe-passed" }) });
		t.notMatch(passed.out, /secret/);
		serve(", tls: {certificateFile: /c.pem, privateKeyFile: /k.pem, clientCaFile: /ca.pem}");
		t.match(await local("probe"), {
			code: 1,
			out: /^not probed: Gateway edge: it demands a client certificate of its own CA$/m,
		});
		others = [{ name: "mi\nne", local_address: { socket_address: { address: "10.0.0.1", port_value: 81 } } }];
		body = "access denied: forbidden\n";
		t.match(await local("probe"), {
			code: 1,
			out: /^ALARM {2}listener mi\\u000ane {2}10\.0\.0\.1:81 {2}foreign-listener: no Gateway's, and judged by nothing of Weir's$/m,
		});
		const eve = await as("eve");
		t.match(await eve("probe"), { code: 1, stderr: /read in all namespaces/ });
		const stranger = await as("eve");
		t.match(await stranger("probe"), { code: 1 });
		const probes = (chain: "acts" | "refused") =>
			made.store.audit.page(0, 100, chain).records.filter(({ verb }) => verb === "probe");
		t.same(
			probes("refused").map(({ result }) => result),
			["refused", "refused"],
		);
		// A minute may have ended in between.
		t.ok([1, 2].includes(probes("acts").length), "once a minute in the operators' audit");
	},
);

t.test("TLS from files is probed where nobody asks who we are; else status says that it is not", async (t) => {
	const tls = await mutualTls(t);
	const own = await tls.ca.issue({ spiffeId: spiffe("edge"), dnsNames: ["guarded.test"] });
	const asked: string[] = [];
	const gateway = createTlsServer({ cert: own.certificate, key: own.privateKey }, (request, response) => {
		asked.push(`${request.url}`);
		response.end("ok");
	});
	await new Promise<void>((resolve) => gateway.listen(0, "127.0.0.1", resolve));
	t.teardown(() => gateway.close());
	const { port } = gateway.address() as AddressInfo;
	const watch = await watching(t);
	const serve = async (tls: string): Promise<readonly string[]> => {
		watch.serve(planOf(port, tls));
		await watch.round();
		return alarmLines(watch.standing());
	};
	const files = "certificateFile: /c.pem, privateKeyFile: /k.pem";
	t.match(await serve(`, tls: {${files}}`), [/^ALARM probe-passed at Gateway edge/]);
	t.ok(asked.length >= 2);
	asked.length = 0;
	t.same(await serve(`, tls: {${files}, clientCaFile: /ca.pem}`), [
		"not probed: Gateway edge: it demands a client certificate of its own CA",
	]);
	t.same(asked, []);
	t.match(await serve(`, tls: {${files}}`), [/^ALARM probe-passed/], "and it says so no more");
});

/** The admin of an Envoy that has no other listener, and counts nothing. */
const edgeAlone =
	(isLive: () => boolean = () => true): RequestListener =>
	({ url = "" }, response) => {
		if (url === "/ready") response.end(isLive() ? "LIVE\n" : "INITIALIZING\n");
		else if (url === "/server_info") response.end('{"node": {"id": "here"}}');
		else response.end(url.startsWith("/listeners") ? '{"listener_statuses": [{"name": "edge"}]}' : "");
	};

/** An Envoy's admin, whose pages a test says. */
async function startAdmin(t: Test, answer: RequestListener) {
	const folder = await mkdtemp(join(tmpdir(), "weir-probe-"));
	const socket = join(folder, "admin.sock");
	const server = createServer(answer);
	await new Promise<void>((resolve) => server.listen(socket, resolve));
	const end = (): void => {
		server.close();
		server.closeAllConnections();
	};
	t.teardown(async () => {
		end();
		await rm(folder, { recursive: true });
	});
	return { socket, end };
}

t.test("an Envoy that is starting is not probed before it listens, and soon after", async (t) => {
	let ready = "INITIALIZING\n";
	const edge = edgeAlone();
	const admin = await startAdmin(t, (request, response) => {
		if (request.url === "/ready") response.writeHead(ready === "LIVE\n" ? 200 : 503).end(ready);
		else edge(request, response);
	});
	const lines: string[] = [];
	let told = () => {};
	const watch = await watching(t, {
		write: (line) => {
			lines.push(line);
			told();
		},
		adminSocket: admin.socket,
	});
	// Nobody listens at port 9.
	watch.serve(planOf(9));
	t.equal(await watch.round(), null);
	ready = "PRE_INITIALIZING\n";
	t.equal(await watch.recent(), null);
	t.same(lines, []);
	ready = "LIVE\n";
	await new Promise<void>((resolve) => {
		told = resolve;
	});
	t.match(lines, [/"alarm":"probe-unanswered"/]);
});

t.test("only Gateways of this machine's Envoy are probed", async (t) => {
	let listeners: readonly string[] | null = ["edge"];
	const admin = await startAdmin(t, (request, response) => {
		if (listeners === null) return;
		response.end(
			JSON.stringify(
				request.url?.startsWith("/listeners")
					? { listener_statuses: listeners.map((name) => ({ name })) }
					: { stats: [] },
			),
		);
	});
	const watch = await watching(t, { adminSocket: admin.socket, connected: () => listeners !== null });
	// Nobody listens at port 9.
	watch.serve(planOf(9));
	const round = async (): Promise<readonly string[]> => {
		t.not(await watch.round(), null);
		return alarmLines(watch.standing());
	};
	t.match(await round(), [/^ALARM probe-unanswered at Gateway edge/]);
	listeners = null;
	t.match(
		await round(),
		[/^ALARM probe-unanswered at Gateway edge/],
		"one that hangs is here all the same, and xDS hears nothing of it",
	);
	listeners = ["other"];
	const elsewhere = ["not probed: Gateway edge: no Envoy of this machine has its listener"];
	t.same(await round(), [`ALARM foreign-listener: ${ALARM_WORDS["foreign-listener"]}`, ...elsewhere]);
	admin.end();
	t.same(await round(), elsewhere, "no Envoy at all is here");
});

t.test("an Envoy whose admin socket is gone while xDS reaches it is here: its verdicts are not counted", async (t) => {
	const pages = edgeAlone();
	const admin = await startAdmin(t, (request, response) => {
		if (request.url === "/server_info") response.end(JSON.stringify({ state: "LIVE", node: { id: "weir-gateway" } }));
		else pages(request, response);
	});
	let reached = "weir-gateway";
	const watch = await watching(t, {
		adminSocket: admin.socket,
		connected: (node) => node === undefined || node === reached,
	});
	// Nobody listens at port 9.
	watch.serve(planOf(9));
	const round = async (): Promise<readonly string[]> => {
		t.not(await watch.round(), null);
		return alarmLines(watch.standing());
	};
	t.match(await round(), [/^ALARM probe-unanswered at Gateway edge/]);
	admin.end();
	await round();
	t.match((await round()).join("\n"), /^ALARM verdicts-uncounted at Gateway edge/m);
	reached = "another";
	t.same(await round(), ["not probed: Gateway edge: no Envoy of this machine has its listener"]);
	reached = "weir-gateway";
	t.match(
		(await round()).join("\n"),
		/^ALARM verdicts-uncounted at Gateway edge/m,
		"and again where xDS reaches it again",
	);
});

t.test(
	"an Envoy of this machine is probed whether or not xDS reaches it; where there is none, one elsewhere is",
	async (t) => {
		const admin = await startAdmin(t, edgeAlone());
		let connected = false;
		const watch = await watching(t, {
			adminSocket: admin.socket,
			connected: (node) => connected && node === undefined,
			intervalMs: 200,
		});
		// Nobody listens at port 9.
		const plan = planOf(9);
		watch.published({ ...plan, version: "0", table: { gateways: [], services: [] } });
		watch.published(plan);
		t.equal(await watch.round(), null, "it may have something else");
		let report = null;
		while (report === null) {
			await new Promise((resolve) => setTimeout(resolve, 20));
			report = await watch.round();
		}
		t.equal(report.answers.length, 2, "what was published last, as nobody says anything for an interval");
		admin.end();
		t.equal(await watch.round(), null);
		connected = true;
		const elsewhere = await watch.round();
		t.match(elsewhere?.unprobed, [{ gateway: "edge" }]);
		t.same(elsewhere?.answers, []);
	},
);

t.test("what this machine's Envoy has is probed, whatever is published and wherever it was to go", async (t) => {
	const moved = await listening(t, (_, response) => response.writeHead(403).end("access denied: forbidden\n"));
	const watch = await watching(t);
	const statuses = async () => (await watch.round())?.answers.map(({ status }) => status);
	// Nobody listens at port 9.
	watch.serve(planOf(9));
	t.same(await statuses(), [null, null]);
	const elsewhere = planOf((moved.address() as AddressInfo).port);
	watch.serve(elsewhere, { current: false, refused: true });
	t.same(await statuses(), [null, null], "where it is still");
	watch.serve(elsewhere);
	t.same(await statuses(), [403, 403]);
	watch.serve(planOf(8), { current: false, refused: true });
	t.same(await statuses(), [403, 403], "where it was before it refused");
	watch.leave();
	watch.published(planOf(9));
	t.same(await statuses(), [403, 403], "it is away, and goes on with that");
	watch.serve(planOf(9), { current: false, refused: true });
	t.same(await statuses(), [403, 403], "and when it is back");

	for (const [more, why] of [
		[{ refused: true }, /its listener is refused/],
		[{}, /has not taken what is declared/],
	] as const) {
		const fresh = await watching(t);
		fresh.serve(planOf(9), { current: false, ...more });
		const report = await fresh.round();
		t.match(report?.unprobed, [{ gateway: "edge", why }], "where it is nobody knows");
		t.same(report?.answers, []);
	}
});

t.test("a listener that is no Gateway's is named, once, until it is gone", async (t) => {
	const pages = edgeAlone();
	const mine = { name: "mine", local_address: { socket_address: { address: "::1", port_value: 18091 } } };
	const pipe = { name: "pipe", local_address: { pipe: { path: "/x.sock" } } };
	let listeners: readonly object[] = [];
	let asked = () => {};
	const admin = await startAdmin(t, (request, response) => {
		if (request.url?.startsWith("/listeners") !== true) return pages(request, response);
		asked();
		response.end(JSON.stringify({ listener_statuses: [{ name: "edge" }, ...listeners] }));
	});
	const lines: string[] = [];
	const write = (line: string): void => void (line.includes("foreign-listener") && lines.push(line));
	const watch = await watching(t, { write, adminSocket: admin.socket });
	const alarms = async () => {
		const told = (await watch.round())?.foreign.map(({ listener, bound }) => [listener, bound?.port ?? null]);
		const status = alarmLines(watch.standing()).filter((line) => line.includes("foreign"));
		return [told, status.length, lines.length];
	};
	// Nobody listens at port 9.
	watch.serve(planOf(9));
	t.same(await alarms(), [[], 0, 0]);
	listeners = [mine];
	t.same(await alarms(), [[["mine", 18091]], 1, 1]);
	t.match(
		lines[0],
		/"level":"error".*"message":"requests may get past the verdict".*"listener":"mine","address":"\[::1\]:18091"/,
	);
	t.same(await alarms(), [[["mine", 18091]], 1, 1], "told once");
	listeners = [mine, pipe];
	t.same(await alarms(), [
		[
			["mine", 18091],
			["pipe", null],
		],
		1,
		2,
	]);
	listeners = [];
	t.same(await alarms(), [[], 0, 2], "gone");
	listeners = [mine];
	t.same(await alarms(), [[["mine", 18091]], 1, 3], "back");
	watch.serve(planOf(9, "", []));
	t.same(await alarms(), [[], 0, 3], "nothing is protected that it could let pass to");
	watch.serve(planOf(9));
	listeners = [{ name: "leaving" }];
	const edge = taken(planOf(9)).get("edge");
	const had = new Map(
		edge === undefined
			? []
			: [
					["edge", edge],
					["leaving", edge],
				],
	);
	watch.have(had);
	t.same(await alarms(), [[], 0, 3], "a Gateway that is declared no more, and that Envoy has still");
	asked = () => watch.serve(planOf(9));
	watch.have(had);
	t.same(await alarms(), [[], 0, 3], "and that it answers to lose while it is asked");
	t.match(await alarms(), [[["leaving", null]], 1, 4], "it has it all the same");
});

t.test("what an Envoy had that was not asked before is known from the next round on", async (t) => {
	const plan = planOf(9);
	const now = taken(plan);
	const edge = now.get("edge");
	let has: Served = new Map(edge === undefined ? [] : [...now, ["leaving", edge]]);
	const pages = edgeAlone();
	const admin = await startAdmin(t, (request, response) => {
		if (request.url?.startsWith("/listeners") !== true) return pages(request, response);
		response.end(JSON.stringify({ listener_statuses: [{ name: "edge" }, { name: "leaving" }] }));
		// It answers that it has lost it.
		has = now;
	});
	const served = (node: string): Served | null => (node === "here" ? has : null);
	const watch = await watching(t, { adminSocket: admin.socket, served });
	watch.published(plan);
	t.same((await watch.round())?.foreign, []);
	t.match((await watch.round())?.foreign, [{ listener: "leaving" }]);
});

t.test("where Envoy says that it listens it is probed", async (t) => {
	const edge = await listening(t, (_, response) => response.writeHead(403).end("access denied: forbidden\n"));
	const pages = edgeAlone();
	const at = { address: "0.0.0.0", port_value: (edge.address() as AddressInfo).port };
	const listeners = { listener_statuses: [{ name: "edge", local_address: { socket_address: at } }] };
	const admin = await startAdmin(t, (request, response) => {
		if (request.url?.startsWith("/listeners")) response.end(JSON.stringify(listeners));
		else pages(request, response);
	});
	const watch = await watching(t, { adminSocket: admin.socket });
	// Nobody listens at port 9.
	watch.serve(planOf(9));
	t.same(
		(await watch.round())?.answers.map(({ status }) => status),
		[403, 403],
	);
});

t.test("Services that the Envoy does not take are named, and those that it has still are probed", async (t) => {
	const asked: string[] = [];
	const edge = await listening(t, (request, response) => {
		asked.push(request.headers.host ?? "");
		response.writeHead(403).end("access denied: forbidden\n");
	});
	const { port } = edge.address() as AddressInfo;
	const hosts = async (): Promise<readonly string[]> => {
		asked.length = 0;
		await watch.round();
		return [...new Set(asked)].sort();
	};
	const [before, now] = [planOf(port, "", ["guarded", "old"]), planOf(port, "", ["guarded", "new"])];
	let tables = 0;
	const planBefore = async (version: string) => {
		tables++;
		return version === before.version ? before.table : null;
	};
	const watch = await watching(t, { intervalMs: 300, planOf: planBefore });
	watch.serve(now, routesOf(before));
	t.same(await hosts(), ["guarded.test", "old.test"], "of a plan that was published before this process began");
	t.equal(tables, 1);
	t.same(
		alarmLines(watch.standing()).filter((line) => !/^ALARM/.test(line)),
		[],
		"it is on its way",
	);
	await new Promise((resolve) => setTimeout(resolve, 350));
	t.same((await watch.round())?.unprobed, [
		{
			gateway: "edge",
			why: "this machine's Envoy has not taken it, or it changes again and again (weir proxy-status)",
			services: ["new"],
		},
	]);
	t.same(tables, 1, "known by now");
	t.same(
		alarmLines(watch.standing()).filter((line) => !/^ALARM/.test(line)),
		["not probed: Gateway edge: some of its Services are not probed (weir probe)"],
	);
	watch.serve(now, { ...routesOf(before), coming: hostsOf(now) });
	t.same(await hosts(), ["guarded.test"], "what is in only one of both is there or not");
	watch.serve(now);
	t.same(await hosts(), ["guarded.test", "new.test"]);
	t.same(
		alarmLines(watch.standing()).filter((line) => !/^ALARM/.test(line)),
		[],
	);
	watch.serve(now, { plan: "unheard-of" });
	t.same(await hosts(), []);
	t.match((await watch.round())?.unprobed, [{ gateway: "edge", services: undefined }], "nothing of it is known");
	watch.serve(now, { plan: null });
	t.same(await hosts(), []);
	watch.serve(now);
	await hosts();
	watch.serve(now, { plan: null });
	t.same(await hosts(), ["guarded.test", "new.test"], "it came back with what is not known here: it is what it had");
});

t.test("what is changed or taken away while it is probed raises no alarm, and ends none", async (t) => {
	let change = (): void => {};
	const edge = await listening(t, ({ headers: { host } }, response) => {
		if (host !== "old.test") return void response.writeHead(403).end("access denied: forbidden\n");
		change();
		response.writeHead(404).end();
	});
	const { port } = edge.address() as AddressInfo;
	const [before, now] = [planOf(port, "", ["guarded", "old"]), planOf(port)];
	const changes: Readonly<Record<string, Partial<GatewayServed> | null>> = {
		"routes without it are on their way": { ...routesOf(before), coming: hostsOf(now) },
		"and have come": routesOf(now),
		"it is another": { ...routesOf(before), hosts: new Map([...hostsOf(before), ["old", "another"]]) },
		"another listener is on its way": { ...routesOf(before), moving: true },
		"and has come": { ...routesOf(before), listener: "2" },
		"its Gateway is gone": null,
	};
	for (const [how, to] of Object.entries(changes)) {
		const watch = await watching(t);
		watch.serve(before);
		// Envoy says that it has what it was sent only when that is being used.
		change = () => (to === null ? watch.lose() : watch.serve(before, to));
		const alarms = async () => (await watch.round())?.answers.filter(({ service }) => service === "old").length;
		t.equal(await alarms(), 0, how);
	}

	const watch = await watching(t, { intervalMs: 300 });
	const ofOld = async () => {
		const report = await watch.round();
		const standing = alarmLines(watch.standing());
		return [report?.answers.filter(({ service }) => service === "old").length, standing];
	};
	const alarms = ["ALARM probe-passed at Gateway edge: a request that every policy denies was not refused"];
	change = () => {};
	watch.serve(planOf(port, "", ["old"]));
	t.same(await ofOld(), [2, alarms]);
	let count = 0;
	change = () => watch.serve(planOf(port, "", ["old"]), { hosts: new Map([["old", String(count++)]]) });
	t.same(await ofOld(), [0, alarms], "what stood stands");
	t.match(await watch.round(), {
		standing: Array(2).fill({ alarm: "probe-passed", gateway: "edge", service: "old" }),
		unprobed: [{ gateway: "edge", services: ["old"], why: /changed while it was to be probed: ask again/ }],
	});
	await new Promise((resolve) => setTimeout(resolve, 350));
	t.same(await ofOld(), [0, [...alarms, "not probed: Gateway edge: some of its Services are not probed (weir probe)"]]);
	change = () => {};
	t.same(await ofOld(), [2, alarms]);
	watch.serve(planOf(port));
	t.match(await ofOld(), [0, [/^ALARM probe-misjudged/]], "it is there no more");
});

t.test("counters that cannot be read twice are an alarm with its cause, until they can", async (t) => {
	const pages = edgeAlone();
	let said: string | number | null = null;
	const admin = await startAdmin(t, (request, response) => {
		if (said === null || request.url?.startsWith("/stats") !== true) return pages(request, response);
		if (typeof said === "number") response.writeHead(said);
		response.end(String(said));
	});
	const lines: string[] = [];
	const write = (line: string): void => void (line.includes("verdicts-uncounted") && lines.push(line));
	const watch = await watching(t, { write, adminSocket: admin.socket });
	// Nobody listens at port 9, as far as probes go.
	watch.serve(planOf(9));
	const round = async () => {
		const uncounted = (await watch.round())?.uncounted.map(({ gateway, why, rounds }) => [gateway, why, rounds]);
		return [uncounted, alarmLines(watch.standing()).filter((line) => line.includes("uncounted"))];
	};
	const alarm = (why: string) =>
		`ALARM verdicts-uncounted at Gateway edge: nobody knows whether what is served there is judged: ${why}`;
	t.same(await round(), [[], []]);
	for (const [answer, cause] of [
		["stats\n", "it says what no Envoy does"],
		[500, "it answers with an error"],
	] as const) {
		const why = `Envoy's admin cannot be read: ${cause}`;
		said = answer;
		t.same(await round(), [[["edge", why, 1]], []], "one may be slow");
		t.same(await round(), [[["edge", why, 2]], [alarm(why)]]);
		t.same(await round(), [[["edge", why, 3]], [alarm(why)]]);
		t.match(lines.splice(0), [/"level":"error".*nobody knows whether what is served is judged.*"why":/], "told once");
		said = null;
		t.same(await round(), [[], []]);
	}
	said = "stats\n";
	await round();
	said = null;
	await round();
	said = "stats\n";
	t.same((await round())[1], [], "twice, and not in a row");
	watch.serve(planOf(9, "", []));
	t.same(await round(), [[], []], "nothing is protected");
	watch.serve(planOf(9));
	admin.end();
	t.same(await round(), [[], []], "no Envoy is here: its Gateways are told as not probed");
});

t.test("`weir probe` fails where verdicts are not counted, and not for one round", async (t) => {
	const pages = edgeAlone();
	let isReadable = true;
	const admin = await startAdmin(t, (request, response) => {
		if (isReadable || request.url?.startsWith("/stats") !== true) return pages(request, response);
		response.end("stats\n");
	});
	const denying = await listening(t, ({ headers }, response) => {
		const reason = headers["x-http-method-override"] === undefined ? "forbidden" : "not-canonical";
		response.writeHead(403).end(`access denied: ${reason}\n`);
	});
	const watch = await watching(t, { adminSocket: admin.socket });
	watch.serve(planOf((denying.address() as AddressInfo).port));
	await watch.round();
	isReadable = false;
	const directory = await mkdtemp(join(tmpdir(), "weir-uncounted-"));
	t.teardown(() => rm(directory, { recursive: true }));
	const socket = join(directory, "api.sock");
	const api = createServer((_request, response) => {
		void watch.round().then((report) => response.end(JSON.stringify(report)));
	}).listen(socket);
	t.teardown(() => api.close());
	const why = "Envoy's admin cannot be read: it says what no Envoy does";
	const first = await weir(["probe", "--api", `unix:${socket}`]);
	t.equal(first.code, 0);
	t.match(String(first.stdout), `verdicts are not counted: Gateway edge: ${why}, in this round`);
	const second = await weir(["probe", "--api", `unix:${socket}`]);
	t.equal(second.code, 1);
	t.match(String(second.stdout), `ALARM  verdicts are not counted: Gateway edge: ${why}  verdicts-uncounted`);
});

t.test("a listener that answers nobody is asked twice in a round, whatever it holds", async (t) => {
	const silent = createTcpServer((socket) => void socket.destroy());
	await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
	t.teardown(() => silent.close());
	const names = Array.from({ length: 20 }, (_, at) => `s${at}`);
	const watch = await watching(t);
	watch.serve(planOf((silent.address() as AddressInfo).port, "", names));
	const alarms = (await watch.round())?.answers.map(({ alarm }) => alarm);
	t.same(alarms, Array(2).fill("probe-unanswered"), "one that hangs is told within seconds");
});

t.test("who was not asked in a round is asked first in the next", async (t) => {
	const edge = await listening(t, ({ headers: { host }, socket }, response) => {
		if (host === "a.test") socket.destroy();
		else response.end("ok");
	});
	const watch = await watching(t);
	watch.serve(planOf((edge.address() as AddressInfo).port, "", ["a", "b"]));
	const told = async () => {
		const { answers = [], standing = [] } = (await watch.round()) ?? {};
		return [answers, standing].map((all) => [...new Set(all.map(({ service, alarm }) => `${service} ${alarm}`))]);
	};
	t.same(await told(), [["a probe-unanswered"], []]);
	t.same(await told(), [["a probe-unanswered", "b probe-passed"], []], "a silent one hides nobody");
});

t.test("a host that a wildcard has is certain only while no other Service comes", async (t) => {
	let come = (): void => {};
	const edge = await listening(t, (_, response) => {
		come();
		response.end("of another Service");
	});
	const { port } = edge.address() as AddressInfo;
	const [wild, both] = [planOf(port, "", ["*.wild"]), planOf(port, "", ["*.wild", "weir-probe.wild"])];
	const watch = await watching(t);
	watch.serve(wild);
	come = () => watch.serve(wild, { coming: hostsOf(both) });
	t.same((await watch.round())?.answers, []);
	come = () => watch.serve(both);
	watch.serve(wild);
	t.same((await watch.round())?.answers, []);
	come = () => {};
	watch.serve(wild);
	t.match((await watch.round())?.answers, [{ alarm: "probe-passed" }, { alarm: "probe-passed" }]);
});

t.test("what the process before this one published is what an Envoy out of reach has, if anything", async (t) => {
	const asked: string[] = [];
	const edge = await listening(t, (request, response) => {
		asked.push(request.headers.host ?? "");
		response.writeHead(403).end("access denied: forbidden\n");
	});
	const { port } = edge.address() as AddressInfo;
	const watch = await watching(t, { intervalMs: 100 });
	const former = planOf(port, "", ["guarded", "old"]).table;
	watch.published({ ...planOf(port, "", ["guarded", "new"]), former });
	while ((await watch.round()) === null) await new Promise((resolve) => setTimeout(resolve, 20));
	t.same([...new Set(asked)], ["guarded.test"]);
});
