/** Access-log streams: of Envoys, for their own Gateway; forged ones are refused, counted and recorded. */
import { connect as connectHttp2 } from "node:http2";
import { setTimeout as pause } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import t, { type Test } from "tap";
import type { DecisionsAnswer } from "../../src/events/decisionQuery.js";
import { envoyName, gatewayOfLogName, streamFault } from "../../src/events/streamIdentity.js";
import { grpcPeerSpiffeId } from "../../src/identity/grpcTls.js";
import { admitPeers, mutualTls } from "../../src/identity/nodeTls.js";
import { ACCESS_LOG_MESSAGE_BYTES_MAX } from "../../src/limits.js";
import { createDevelopmentCa, type DevelopmentCa } from "../identity/developmentCa.js";
import { streamOverTls } from "./accessLogStream.js";
import { idOf, ownIdentity, TRUST_DOMAIN } from "./ownIdentity.js";
import { type Entry, encode, query, type Rig, seriesKey, startRig, unitsOf } from "./rig.js";

const gatewaysOf = (envoy: string): readonly string[] | null => (envoy === "edge" ? ["edge", "team/edge"] : []);
const trust = { trustDomain: TRUST_DOMAIN, gatewaysOf };

t.test("identity against claim", (t) => {
	const spiffe = (id: string) => ({ kind: "spiffe", id }) as const;
	const claim = (nodeId: string, logName = "weir|edge") => ({ nodeId, logName });
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

t.test("over TCP: only an Envoy's SVID, for its own node and Gateway", async (t) => {
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
	t.same(["other-gateway", "other-node", "not-an-envoy"].map(counts), [1, 4, 2]);
	const handshakes = (reason: string) =>
		rig.meter.counts.get(seriesKey("weir_handshakes_refused_total", { door: "access-log", reason })) ?? 0;
	const seen = ["no-certificate", "untrusted-certificate"].map(handshakes);
	t.ok(
		seen.every((count) => count > 0),
		"who proves nothing is counted apart",
	);
	const { decisions } = (await rig.call("GET", "/v1/requests?kind=stream-refused", "")).json as DecisionsAnswer;
	t.equal(decisions.length, 9);
	for (const reason of ["no-certificate", "untrusted-certificate"])
		t.match(
			decisions.filter((one) => one.reason === reason),
			[{ kind: "stream-refused", verdict: "deny", principal: null, gateway: null, count: 1 }],
			"one record a minute stands for all",
		);
	t.ok(
		decisions.some(
			({ reason, principal, gateway }) =>
				reason === "other-gateway" && principal === idOf("envoy/edge") && gateway === "inner",
		),
	);
	t.ok(decisions.some(({ reason, principal }) => reason === "not-an-envoy" && principal === idOf("sidecar")));
});

/** A rig with a door over TCP, whose clock goes. */
async function tcpRig(t: Test): Promise<{ rig: Rig; ca: DevelopmentCa }> {
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
	const offsetMs = rig.nowMs - Date.now();
	const ticks = setInterval(() => {
		rig.nowMs = Date.now() + offsetMs;
	}, 10);
	t.teardown(async () => {
		clearInterval(ticks);
		await rig.close();
	});
	return { rig, ca };
}

const DENIED = { kind: "end", status: 403, codeDetails: "rbac_access_denied_matched_policy[none]" } as const;

t.test(
	"a stream ends in order before its Envoy's certificate does, and nothing is missing",
	{ timeout: 60_000 },
	async (t) => {
		const { rig, ca } = await tcpRig(t);
		const told = async (kind: string) =>
			((await rig.call("GET", `/v1/requests?kind=${kind}`, "")).json as DecisionsAnswer).decisions;
		const opened = (lifetimeMs: number) => ca.issue({ spiffeId: idOf("envoy/edge"), lifetimeMs, nowMs: Date.now() });
		const denied = (requestId: string) =>
			encode([{ ...DENIED, requestId, startMs: rig.nowMs - 10 }], { node: "edge", log: "weir|edge" });
		const short = await opened(4_000);
		const began = Date.now();
		const code = await streamOverTls(rig.ingest.accessLogPort ?? 0, ca.certificate, short, [denied("r1")], false);
		t.equal(code, 0, "in order");
		const lasted = Date.now() - began;
		t.ok(lasted > 2_000 && lasted < 4_000, `${lasted} ms, before the certificate's end`);
		await streamOverTls(rig.ingest.accessLogPort ?? 0, ca.certificate, await opened(3_600_000), [denied("r2")]);
		while ((await told("denied")).length < 2) await pause(20);
		t.same(await told("records-missing"), []);
	},
);

t.test("one that does not hear of its end is missed since it was heard of last", { timeout: 60_000 }, async (t) => {
	const { rig, ca } = await tcpRig(t);
	const certificate = await ca.issue({ spiffeId: idOf("envoy/edge"), lifetimeMs: 4_000, nowMs: Date.now() });
	const socket = connectTls({
		port: rig.ingest.accessLogPort ?? 0,
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
	const heardMs = rig.nowMs;
	const framed = (requestId: string) => {
		const message = encode([{ ...DENIED, requestId, startMs: rig.nowMs - 10 }], { node: "edge", log: "weir|edge" });
		const head = Buffer.alloc(5);
		head.writeUInt32BE(message.length, 1);
		return Buffer.concat([head, message]);
	};
	stream.on("error", () => undefined).write(framed("r1"));
	await pause(1_000);
	// What comes is not read, as by a machine that cannot be reached.
	socket.pause();
	while (!socket.destroyed && rig.nowMs - heardMs < 6_500) await pause(50);
	socket.destroy();
	const next = await ca.issue({ spiffeId: idOf("envoy/edge") });
	const message = encode([{ ...DENIED, requestId: "r2", startMs: rig.nowMs }], { node: "edge", log: "weir|edge" });
	await streamOverTls(rig.ingest.accessLogPort ?? 0, ca.certificate, next, [message]);
	let [gap] = [] as DecisionsAnswer["decisions"][number][];
	while (gap === undefined) {
		[gap] = ((await rig.call("GET", "/v1/requests?kind=records-missing", "")).json as DecisionsAnswer).decisions;
		await pause(50);
	}
	t.match(gap, { reason: "stream-broken", gateway: "edge" });
	t.ok(gap.atMs < heardMs && gap.atMs > heardMs - 2_000, `from ${gap.atMs - heardMs} ms`);
});

t.test("plain TCP is never an access log's door", async (t) => {
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
