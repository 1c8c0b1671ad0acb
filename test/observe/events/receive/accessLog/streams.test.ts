/** An Envoy opens access-log streams for its own Gateway; forged ones are refused, counted and recorded. */
import { connect as connectHttp2 } from "node:http2";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import t, { type Test } from "tap";
import { EnvoyAgent } from "../../../../../src/cli/stack/envoyAgent.js";
import { COUNTERS } from "../../../../../src/observe/events/meter.js";
import type { AccessRecordsAnswer } from "../../../../../src/observe/events/query/accessRecordQuery.js";
import { ACCESS_LOG_MESSAGE_BYTES_MAX } from "../../../../../src/observe/events/receive/accessLog/accessLog.js";
import {
	envoyName,
	gatewayOfLogName,
	streamFault,
} from "../../../../../src/observe/events/receive/accessLog/streamIdentity.js";
import { grpcPeerSpiffeId } from "../../../../../src/trust/identity/grpcTls.js";
import { admitPeers, mutualTls } from "../../../../../src/trust/identity/nodeTls.js";
import { createDevelopmentCa, type DevelopmentCa } from "../../../../trust/identity/developmentCa.js";
import { resetAtOnce } from "../../../../trust/tls/http2Flood.js";
import { streamOverTls } from "../../accessLogStream.js";
import { idOf, ownIdentity, TRUST_DOMAIN } from "../../ownIdentity.js";
import { type Entry, encode, query, type Rig, seriesKey, startRig, unitsOf } from "../../rig.js";

// Most of the time is waiting.
t.jobs = 4;

const gatewaysOf = (envoy: string): readonly string[] | null => (envoy === "edge" ? ["edge", "team/edge"] : []);
const trust = { trustDomain: TRUST_DOMAIN, gatewaysOf };

t.test("a stream's node and Gateway must match its Envoy's identity", (t) => {
	const spiffe = (id: string) => ({ kind: "spiffe", id }) as const;
	const claim = (nodeId: string, logName = "weir|edge") => ({ nodeId, instance: null, logName });
	const edge = spiffe(idOf("envoy/edge"));
	t.equal(streamFault(edge, claim("edge"), trust), null);
	t.equal(streamFault(edge, claim("edge", "weir|team/edge"), trust), null);
	t.equal(streamFault({ kind: "owner" }, null, trust), null);
	t.equal(streamFault(null, claim("edge"), trust), "no-identity");
	t.equal(streamFault(edge, claim("other"), trust), "other-node");
	t.equal(streamFault(edge, null, trust), "other-node");
	t.equal(streamFault(edge, claim("edge", "weir|inner"), trust), "other-gateway");
	t.equal(streamFault(edge, claim("edge", "weir"), trust), "other-gateway");
	t.equal(streamFault(edge, claim("edge", "weir|"), trust), "other-gateway");
	t.equal(streamFault(spiffe(idOf("envoy/inner")), claim("inner"), trust), "other-gateway");
	for (const id of [
		idOf("sidecar"),
		idOf("envoy"),
		idOf("envoy/"),
		idOf("envoy/edge/x"),
		"spiffe://evil.test/weir/envoy/edge",
		`${idOf("envoy/edge")}?x`,
	]) {
		t.equal(streamFault(spiffe(id), claim("edge"), trust), "not-an-envoy", id);
	}
	t.equal(envoyName(idOf("envoy/edge"), TRUST_DOMAIN), "edge");
	t.equal(gatewayOfLogName("weir|a/b"), "a/b");
	t.end();
});

t.test("over TCP only an Envoy's SVID opens a stream, for its own node and Gateway", async (t) => {
	const ca = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const identity = await ownIdentity(ca, "control");
	const rig: Rig = await startRig({
		accessLogTcp: {
			address: "127.0.0.1",
			port: 0,
			tls: mutualTls(identity),
			admitPeers: (server, admit, refused) => admitPeers(server, identity, admit, (_, id) => refused(id)),
			peer: (call) => grpcPeerSpiffeId(call, identity),
			trust,
		},
	});
	t.teardown(() => rig.close());
	const port = rig.ingest.accessLogPort ?? 0;
	const issue = (name: string) => ca.issue({ spiffeId: idOf(name) });
	const units = unitsOf("boosted", 20);
	const entries = (name: string, unit: string): Entry[] => [
		{ kind: "start", unit, requestId: `${name}-${unit}`, startMs: 999_000 },
		{ kind: "end", unit, requestId: `${name}-${unit}`, startMs: 999_000, status: 500 },
	];
	let next = 0;
	const say = (name: string, node: string, log: string): Buffer[] => [
		encode(entries(name, units[next++] ?? ""), { node, log }),
		encode(entries(name, units[next++] ?? "")),
	];
	const edge = await issue("envoy/edge");
	t.equal(await streamOverTls(port, ca.certificate, edge, say("good", "edge", "weir|edge")), 0);
	const exposed = async () =>
		(await rig.ingest.evidence.evidence(query())).arms.map(({ exposedUnits }) => exposedUnits);
	const before = await exposed();
	t.same(
		before.reduce((sum, units) => sum + units, 0),
		2,
		"the Envoy's own entries count",
	);

	const PERMISSION_DENIED = 7;
	const UNAVAILABLE = 14;
	t.equal(await streamOverTls(port, ca.certificate, edge, say("gateway", "edge", "weir|inner")), PERMISSION_DENIED);
	t.equal(await streamOverTls(port, ca.certificate, edge, say("node", "inner", "weir|edge")), PERMISSION_DENIED);
	t.equal(
		await streamOverTls(port, ca.certificate, edge, [encode(entries("mute", units[next++] ?? ""))]),
		PERMISSION_DENIED,
	);
	t.equal(
		await streamOverTls(port, ca.certificate, edge, [Buffer.from([0x0a, 0xff])]),
		PERMISSION_DENIED,
		"what cannot be read",
	);
	t.equal(
		await streamOverTls(port, ca.certificate, await issue("sidecar"), say("sidecar", "edge", "weir|edge")),
		UNAVAILABLE,
		"who is no Envoy has no connection",
	);
	t.equal(
		await streamOverTls(port, ca.certificate, await issue("envoy/inner"), say("inner", "edge", "weir|edge")),
		PERMISSION_DENIED,
	);
	t.equal(
		await streamOverTls(port, ca.certificate, null, say("none", "edge", "weir|edge")),
		UNAVAILABLE,
		"no certificate",
	);
	const RESOURCE_EXHAUSTED = 8;
	const large = Buffer.alloc(ACCESS_LOG_MESSAGE_BYTES_MAX + 1);
	t.equal(
		await streamOverTls(port, ca.certificate, edge, [large]),
		RESOURCE_EXHAUSTED,
		"nothing large is kept unjudged",
	);
	const silent = await streamOverTls(port, ca.certificate, await issue("sidecar"), [], false);
	t.equal(silent, UNAVAILABLE, "nor without a word");
	const other = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const forged = await other.issue({ spiffeId: idOf("envoy/edge") });
	t.equal(
		await streamOverTls(port, ca.certificate, forged, say("forged", "edge", "weir|edge")),
		UNAVAILABLE,
		"another CA's",
	);

	t.same(await exposed(), before, "forged streams move no statistics");
	const counts = (reason: string) => rig.meter.counts.get(seriesKey("weir_ingest_refused_streams_total", { reason }));
	const refused = ["other-gateway", "other-node", "not-an-envoy"].map((reason) => counts(reason) ?? 0);
	t.same(refused.slice(0, 2), [1, 4]);
	// Who has no connection tries once more, as often as there is time.
	t.ok((refused[2] ?? 0) >= 2, `${refused[2]}`);
	const handshakes = (reason: string) =>
		rig.meter.counts.get(seriesKey("weir_handshakes_refused_total", { listener: "access-log", reason })) ?? 0;
	const seen = ["no-certificate", "untrusted-certificate"].map(handshakes);
	t.ok(
		seen.every((count) => count > 0),
		"who proves nothing is counted apart",
	);
	const { decisions } = (await rig.call("GET", "/v1/requests?kind=stream-refused", "")).json as AccessRecordsAnswer;
	const of = ({ reason, principal }: (typeof decisions)[number]) => [reason, principal].join(" ");
	t.equal(new Set(decisions.map(of)).size, decisions.length, "each kind has one record");
	t.equal(decisions.length, 2 + 1 + 2 + 1, `${decisions.map(of)}`);
	for (const reason of ["no-certificate", "untrusted-certificate"])
		t.match(
			decisions.filter((one) => one.reason === reason),
			[{ kind: "stream-refused", verdict: "deny", principal: null, gateway: null, count: 1 }],
			"one record a minute stands for all",
		);
	t.ok(decisions.some(({ reason, principal }) => reason === "other-gateway" && principal === idOf("envoy/edge")));
	t.ok(decisions.some(({ reason, principal }) => reason === "not-an-envoy" && principal === idOf("sidecar")));
});

/** A rig with a TCP listener and a clock that runs. */
async function tcpRig(t: Test): Promise<{ rig: Rig; ca: DevelopmentCa; later(ms: number): void }> {
	const ca = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const identity = await ownIdentity(ca, "control");
	const rig = await startRig({
		accessLogTcp: {
			address: "127.0.0.1",
			port: 0,
			tls: mutualTls(identity),
			admitPeers: (server, admit, refused) => admitPeers(server, identity, admit, (_, id) => refused(id)),
			peer: (call) => grpcPeerSpiffeId(call, identity),
			trust,
		},
	});
	let offsetMs = rig.nowMs - Date.now();
	const ticks = setInterval(() => {
		rig.nowMs = Date.now() + offsetMs;
	}, 10);
	t.teardown(async () => {
		clearInterval(ticks);
		await rig.close();
	});
	return { rig, ca, later: (ms) => (offsetMs += ms) };
}

const DENIED = { kind: "end", status: 403, codeDetails: "rbac_access_denied_matched_policy[none]" } as const;

t.test(
	"a stream ends gracefully before its Envoy's certificate expires, and no entry is lost",
	{ timeout: 60_000 },
	async (t) => {
		const { rig, ca } = await tcpRig(t);
		const decisionsOf = async (kind: string) =>
			((await rig.call("GET", `/v1/requests?kind=${kind}`, "")).json as AccessRecordsAnswer).decisions;
		const opened = (lifetimeMs: number) => ca.issue({ spiffeId: idOf("envoy/edge"), lifetimeMs, nowMs: Date.now() });
		const denied = (requestId: string) =>
			encode([{ ...DENIED, requestId, startMs: rig.nowMs - 10 }], { node: "edge", log: "weir|edge" });
		const short = await opened(16_000);
		const began = Date.now();
		const code = await streamOverTls(rig.ingest.accessLogPort ?? 0, ca.certificate, short, [denied("r1")], false);
		t.equal(code, 0, "in order");
		const lasted = Date.now() - began;
		t.ok(lasted > 2_000 && lasted < 16_000, `${lasted} ms, before the certificate's end`);
		await streamOverTls(rig.ingest.accessLogPort ?? 0, ca.certificate, await opened(3_600_000), [denied("r2")]);
		while ((await decisionsOf("denied")).length < 2) await pause(20);
		t.same(await decisionsOf("records-missing"), []);
	},
);

/** An Envoy that was heard of, behind a network that is gone. */
async function silentEnvoy(t: Test) {
	const { rig, ca, later } = await tcpRig(t);
	const openedMs = rig.nowMs;
	const certificate = await ca.issue({ spiffeId: idOf("envoy/edge") });
	/** A network that fails without closing its connections. */
	const ways: Socket[] = [];
	const network = createServer((client) => {
		const to = connect(rig.ingest.accessLogPort ?? 0, "127.0.0.1");
		for (const way of [client, to]) ways.push(way.on("error", () => undefined));
		client.pipe(to).pipe(client);
	});
	await new Promise<void>((resolve) => network.listen(0, "127.0.0.1", resolve));
	t.teardown(() => {
		for (const way of ways) way.destroy();
		network.close();
	});
	const socket = connectTls({
		port: (network.address() as AddressInfo).port,
		host: "127.0.0.1",
		ca: ca.certificate,
		cert: certificate.certificate,
		key: certificate.privateKey,
		ALPNProtocols: ["h2"],
		checkServerIdentity: () => undefined,
	});
	const session = connectHttp2("http://ingest", { createConnection: () => socket });
	session.on("error", () => undefined);
	const stream = session.request({
		":method": "POST",
		":path": "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
		"content-type": "application/grpc",
		te: "trailers",
	});
	const message = encode([{ ...DENIED, requestId: "r1", startMs: rig.nowMs - 10 }], { node: "edge", log: "weir|edge" });
	const head = Buffer.alloc(5);
	head.writeUInt32BE(message.length, 1);
	stream.on("error", () => undefined).write(Buffer.concat([head, message]));
	const decisionsOf = async (kind: string) =>
		((await rig.call("GET", `/v1/requests?kind=${kind}`, "")).json as AccessRecordsAnswer).decisions;
	while ((await decisionsOf("denied")).length === 0) await pause(20);
	for (const way of ways) way.unpipe().pause();
	return { rig, decisionsOf, later, openedMs, silentMs: rig.nowMs };
}

t.test("the gap of an Envoy that stopped answering begins at its last entry", { timeout: 60_000 }, async (t) => {
	const { decisionsOf, later, openedMs, silentMs } = await silentEnvoy(t);
	let gap: AccessRecordsAnswer["decisions"][number] | undefined;
	while (gap === undefined) {
		await pause(100);
		// It is recorded some time after it is over; what waits for answers has a clock of its own.
		later(5_000);
		[gap] = await decisionsOf("records-missing");
	}
	t.match(gap, { reason: "not-received", gateway: "edge", principal: idOf("envoy/edge") });
	const fromMs = gap.atMs;
	t.ok(fromMs >= openedMs - 1_000 && fromMs <= silentMs, `from ${fromMs - silentMs} ms`);
	t.ok(fromMs + (gap.latencyMs ?? 0) >= silentMs, `for ${gap.latencyMs} ms`);
});

t.test(
	"`weir envoy` reports dropped entries of its own Envoy only; a forged report is ignored",
	{ timeout: 60_000 },
	async (t) => {
		const { rig, ca, later } = await tcpRig(t);
		const agentOf = async (name: string, node: string) => {
			const { certificate: cert, privateKey: key } = await ca.issue({ spiffeId: idOf(name) });
			const secret = { cert, key, ca: ca.certificate, checkServerIdentity: () => undefined };
			const passedMs = (): number => performance.now();
			return new EnvoyAgent({
				...{ node, instance: "a", passedMs },
				open: () =>
					connectTls({ port: rig.ingest.accessLogPort ?? 0, host: "127.0.0.1", ALPNProtocols: ["h2"], ...secret }),
			});
		};
		const decisionsOf = async (kind: string) =>
			((await rig.call("GET", `/v1/requests?kind=${kind}`, "")).json as AccessRecordsAnswer).decisions;
		const lie = async (name: string, node: string): Promise<void> => {
			const liar = await agentOf(name, node);
			liar.dropped(7, performance.now() - 1_000);
			await liar.ask(true);
		};
		for (const [name, node] of [
			["envoy/inner", "edge"],
			["envoy/inner", "inner"],
			["envoy/edge", "inner"],
			["sidecar", "edge"],
		] as const)
			await lie(name, node);
		const undelivered = () => rig.meter.counts.get(seriesKey(COUNTERS.entries.name, { result: "undelivered" }));
		const refused = (reason: string) => rig.meter.counts.get(seriesKey(COUNTERS.streams.name, { reason }));
		t.equal(undelivered(), undefined);
		t.same([refused("other-node"), refused("other-gateway"), refused("not-an-envoy")], [2, 1, 1]);
		const own = await agentOf("envoy/edge", "edge");
		own.dropped(5, performance.now() - 1_000);
		await own.ask();
		t.equal(undelivered(), 5, "and its own is");
		later(60_000);
		await pause(20);
		let missing = await decisionsOf("records-missing");
		for (; missing.length === 0; missing = await decisionsOf("records-missing")) await pause(50);
		t.match(missing, [{ reason: "not-received", count: 5, gateway: null, principal: idOf("envoy/edge") }]);
		// The forger continues.
		for (let times = 0; times < 4; times++) await lie("envoy/inner", "inner");
		const records = async () =>
			(await decisionsOf("stream-refused"))
				.filter(({ reason, principal }) => reason === "other-gateway" && principal === idOf("envoy/inner"))
				.map(({ count }) => count);
		t.same(await records(), [1], "once a minute");
		await rig.restart();
		t.same((await records()).sort(), [1, 4], "the rest when ingest ends");
	},
);

t.test("a connection that opens hundreds of streams at once is cut, and recorded", { timeout: 60_000 }, async (t) => {
	const { rig, ca } = await tcpRig(t);
	const { certificate: cert, privateKey: key } = await ca.issue({ spiffeId: idOf("envoy/inner") });
	const at = { host: "127.0.0.1", port: rig.ingest.accessLogPort ?? 0, checkServerIdentity: () => undefined };
	await resetAtOnce(900, "/no.such.Service/Method", { ...at, cert, key, ca: ca.certificate });
	const { decisions } = (await rig.call("GET", "/v1/requests?reason=too-many", "")).json as AccessRecordsAnswer;
	t.match(decisions, [{ kind: "stream-refused", principal: idOf("envoy/inner"), gateway: null, count: 1 }]);
});

t.test("the access log has no listener over plain TCP", async (t) => {
	await t.rejects(
		startRig({
			accessLogTcp: {
				address: "127.0.0.1",
				port: 0,
				tls: { options: {}, follow: () => () => {} },
				admitPeers: () => {},
				peer: () => null,
				trust,
			},
		}),
		{ code: "invalid-argument" },
	);
});
