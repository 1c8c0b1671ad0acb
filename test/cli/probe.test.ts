/** The alarm of a bypass, from a Gateway that lets the probe pass to the line of `weir status`; and its end. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { alarmLines } from "../../src/cli/commands/alarms.js";
import { standingAlarms, type WatchOptions, watchForBypass } from "../../src/cli/roles/probe.js";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import { WeirError } from "../../src/error.js";
import { loadResources } from "../../src/resources/parse.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { createLog } from "../../src/telemetry/log.js";
import { createMeter } from "../../src/telemetry/meter.js";
import { mutualTls, spiffe } from "../access/mutualTls.js";
import { mutualApi } from "../state/mutualApi.js";
import { operatorCommand } from "./operatorCommand.js";

/** One protected and one open Service behind one Gateway without TLS. */
function planOf(port: number, tls = "") {
	const service = (name: string, access: string) => `---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: ${name}}
spec: {hosts: [${name}.test], defaultVariant: v1, ${access}variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: 9}]}]}
`;
	const text = `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {port: ${port}${tls}}
${service("guarded", "")}${service("open", "access: open, ")}---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: someone}
spec: {action: allow, services: [guarded], principals: ["spiffe://weir.test/a"]}
`;
	const { resources, problems } = loadResources([{ name: "w.yaml", text }]);
	if (resources === null) throw new Error(JSON.stringify(problems));
	const { table } = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS });
	return { gateways: resources.gateways, table };
}

/** A watch that makes no rounds by itself, of Gateways that are all this machine's; its log goes nowhere. */
function watching(
	t: Test,
	{ write = () => {}, ...more }: Partial<WatchOptions> & { readonly write?: (line: string) => void } = {},
) {
	const watch = watchForBypass({
		log: createLog({ role: "xds", write, environment: {} }),
		meter: createMeter({ role: "xds" }),
		identity: null,
		adminSocket: null,
		connected: () => true,
		intervalMs: 3_600_000,
		...more,
	});
	t.teardown(() => watch.close());
	return watch;
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
	const { gateways, table } = planOf((gateway.address() as AddressInfo).port);
	const lines: string[] = [];
	const meter = createMeter({ role: "xds" });
	let connected = false;
	const watch = watching(t, { write: (line) => lines.push(line), meter, connected: () => connected });
	watch.served(gateways, table);
	await watch.round();
	t.same(asked, [], "where no Envoy is connected there is nothing to ask");
	connected = true;
	await watch.round();
	t.same(asked, Array(2).fill("OPTIONS /.well-known/weir-probe guarded.test"));
	t.match(
		lines,
		Array(2).fill(/"level":"error".*"alarm":"probe-passed".*"gateway":"edge".*"service":"guarded".*"status":200/),
	);
	t.same(alarmLines(standingAlarms(await meter.json())), [
		"ALARM probe-passed at Gateway edge: a request that every policy denies was not refused",
	]);
	refuses = true;
	asked.length = 0;
	await Promise.all(Array.from({ length: 50 }, () => watch.round()));
	t.equal(asked.length, 2, "who asks while a round is under way is told of that one");
	const [first, second] = [await watch.recent(), await watch.recent()];
	t.equal(asked.length, 4);
	t.equal(second, first, "and who asks soon after it is told of it too");
	watch.served(gateways, table);
	await watch.recent();
	t.equal(asked.length, 6, "but not of one before what is served now");
	t.equal(lines.length, 2);
	t.same(alarmLines(standingAlarms(await meter.json())), []);
	t.match(await meter.text(), /weir_probe_alarms_total\{[^}]*alarm="probe-passed"[^}]*\} 2/);
	gateway.closeAllConnections();
	await new Promise((resolve) => gateway.close(resolve));
	await watch.round();
	t.match(alarmLines(standingAlarms(await meter.json())), [/probe-unanswered at Gateway edge/]);
	const unanswered = lines.slice(2).join("\n");
	t.match(unanswered, /"message":"the probe was given no verdict".*"why":"ECONNREFUSED: /);
	t.notMatch(unanswered, /get past/, "what nobody answered has got past nothing");
});

t.test("an identity that has ended is named in the log, with what to do", async (t) => {
	const lines: string[] = [];
	const ended = (): never => {
		throw new WeirError("unavailable", "the identity from SOCKET ended at DATE", "is weir ca running?");
	};
	const watch = watching(t, {
		write: (line) => lines.push(line),
		identity: { current: ended, onRotated: () => () => {}, idOf: () => null },
	});
	const { gateways, table } = planOf(9, ", tls: {identity: mesh}");
	watch.served(gateways, table);
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
		let connected = false;
		const watch = watching(t, { connected: () => connected });
		const { port } = gateway.address() as AddressInfo;
		const serve = (tls = ""): void => {
			const { gateways, table } = planOf(port, tls);
			watch.served(gateways, table);
		};
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
		connected = true;
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
	const meter = createMeter({ role: "xds" });
	const watch = watching(t, { meter });
	const serve = async (tls: string): Promise<readonly string[]> => {
		const { gateways, table } = planOf(port, tls);
		watch.served(gateways, table);
		await watch.round();
		return alarmLines(standingAlarms(await meter.json()));
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

/** What the admin socket of an Envoy says that has no other listener, and counts nothing. */
const edgeAlone = (url: string): string =>
	url.startsWith("/listeners") ? '{"listener_statuses": [{"name": "edge"}]}' : '{"stats": []}';

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
	const admin = await startAdmin(t, ({ url = "" }, response) => {
		if (url === "/ready") response.writeHead(ready === "LIVE\n" ? 200 : 503).end(ready);
		else response.end(edgeAlone(url));
	});
	const lines: string[] = [];
	let told = () => {};
	const watch = watching(t, {
		write: (line) => {
			lines.push(line);
			told();
		},
		adminSocket: admin.socket,
	});
	// Nobody listens at port 9.
	const { gateways, table } = planOf(9);
	watch.served(gateways, table);
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
	const meter = createMeter({ role: "xds" });
	const watch = watching(t, { meter, adminSocket: admin.socket, connected: () => listeners !== null });
	// Nobody listens at port 9.
	const { gateways, table } = planOf(9);
	watch.served(gateways, table);
	const round = async (): Promise<readonly string[]> => {
		t.not(await watch.round(), null);
		return alarmLines(standingAlarms(await meter.json()));
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
	t.same(await round(), elsewhere);
	admin.end();
	t.same(await round(), elsewhere, "no Envoy at all is here");
});

t.test(
	"an Envoy of this machine is probed whether or not xDS reaches it; where there is none, one elsewhere is",
	async (t) => {
		const admin = await startAdmin(t, ({ url = "" }, response) => {
			if (url === "/ready") response.end("LIVE\n");
			else response.end(edgeAlone(url));
		});
		let connected = false;
		const watch = watching(t, { adminSocket: admin.socket, connected: () => connected, intervalMs: 200 });
		// Nobody listens at port 9.
		const { gateways, table } = planOf(9);
		watch.published(gateways, { gateways: [], services: [] });
		watch.published(gateways, table);
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
		t.match(await watch.round(), { answers: [], unprobed: [{ gateway: "edge" }] });
	},
);

t.test("another Envoy that refuses a Gateway says nothing of this machine's", async (t) => {
	const moved = createServer((_, response) => response.writeHead(403).end("access denied: forbidden\n"));
	await new Promise<void>((resolve) => moved.listen(0, "127.0.0.1", resolve));
	t.teardown(() => moved.close());
	const admin = await startAdmin(t, ({ url = "" }, response) => {
		if (url === "/server_info") response.end('{"node": {"id": "here"}}');
		else response.end(edgeAlone(url));
	});
	const watch = watching(t, { adminSocket: admin.socket });
	const serve = (port: number, ...refusing: readonly string[]): void => {
		const { gateways, table } = planOf(port);
		const refused = (node: string) => new Set(refusing.includes(node) ? ["edge"] : []);
		watch.served(gateways, table, new Map(["here", "there"].map((node) => [node, refused(node)])));
	};
	const statuses = async () => (await watch.round())?.answers.map(({ status }) => status);
	// Nobody listens at port 9.
	serve(9);
	t.same(await statuses(), [null, null]);
	const { port } = moved.address() as AddressInfo;
	serve(port, "here");
	t.same(await statuses(), [null, null], "where it is still");
	serve(port, "there");
	t.same(await statuses(), [403, 403]);
	serve(9, "here");
	serve(8, "here", "there");
	t.same(await statuses(), [403, 403], "where it was before it refused for the first time");
	const { gateways, table } = planOf(9);
	watch.served(gateways, table, new Map([["there", new Set<string>()]]));
	t.same(await statuses(), [403, 403], "it is away, and goes on with that");
	serve(9, "here");
	t.same(await statuses(), [403, 403], "and when it is back");

	const fresh = watching(t, { adminSocket: admin.socket });
	for (const refusedBy of [[["here", new Set(["edge"])]], [["there", new Set<string>()]]] as const) {
		fresh.served(gateways, table, new Map([...refusedBy]));
		t.match(await fresh.round(), { unprobed: [{ gateway: "edge", why: /its listener is refused/ }] });
	}
});
