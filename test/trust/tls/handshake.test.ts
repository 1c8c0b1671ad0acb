/** Reasons of failed handshakes on real sockets, and the throttling of their reports. */
import { once } from "node:events";
import { createServer as createHttps } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { createServer, type Server } from "node:tls";
import t from "tap";
import { ProcessCounts } from "../../../src/cli/sidecar/counts.js";
import { Health } from "../../../src/publish/sidecar/grpc/health.js";
import { startGrpcServer } from "../../../src/publish/sidecar/grpc/server.js";
import { ReportThrottle } from "../../../src/trust/clients/reportThrottle.js";
import { limitConnections, listenHttp2 } from "../../../src/trust/tls/connectionLimits.js";
import { describeFault, type HandshakeFault } from "../../../src/trust/tls/handshake.js";
import { TLS_OPTIONS } from "../../../src/trust/tls/tls.js";
import { echoMethods } from "../../publish/sidecar/grpc/rig.js";
import { createDevelopmentCa } from "../identity/developmentCa.js";
import { invalidClients } from "../identity/invalidClients.js";

t.setTimeout(60_000);

const ca = await createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now() - 60_000, lifetimeMs: 7_200_000 });
const own = await ca.issue({ spiffeId: "spiffe://weir.test/listener" });
const OPTIONS = {
	cert: own.certificate,
	key: own.privateKey,
	ca: ca.certificate,
	...TLS_OPTIONS,
	requestCert: true,
	rejectUnauthorized: true,
};

const SERVERS = {
	tls: () => createServer(OPTIONS),
	https: () => createHttps(OPTIONS, (_, response) => response.end()),
};

for (const [kind, make] of Object.entries(SERVERS))
	t.test(`${kind}: each failed handshake has a reason of a closed set, and a closed connection has none`, async (t) => {
		const server: Server = make();
		const faults: HandshakeFault[] = [];
		limitConnections(server, { connections: 10, onHandshakeFault: (fault) => void faults.push(fault) });
		server.on("tlsClientError", (_, socket) => socket.destroy());
		t.teardown(() => server.close());
		server.listen(0, "127.0.0.1");
		await once(server, "listening");
		const { port } = server.address() as AddressInfo;
		for (const { what, fault, connect } of await invalidClients(ca, "spiffe://weir.test/peer")) {
			faults.length = 0;
			await connect(port);
			for (let tries = 0; tries < 20 && faults.length === 0; tries++) await pause(5);
			t.same(faults, fault === null ? [] : [fault], what);
		}
	});

t.test("an HTTP/2 listener reports failed handshakes", async (t) => {
	const faults: HandshakeFault[] = [];
	const listener = await listenHttp2(
		{
			host: "127.0.0.1",
			port: 0,
			tls: { options: OPTIONS, follow: () => () => {} },
			connections: 10,
			onHandshakeFault: (fault) => void faults.push(fault),
		},
		(socket) => void socket.destroy(),
	);
	t.teardown(() => listener.close());
	const all = await invalidClients(ca, "spiffe://weir.test/peer");
	for (const { connect } of all) await connect(listener.port);
	const wanted = all.flatMap(({ fault }) => fault ?? []);
	for (let tries = 0; tries < 200 && faults.length < wanted.length; tries++) await pause(5);
	t.same(faults.toSorted(), wanted.toSorted());
});

t.test("the sidecar counts failed handshakes in its metrics", async (t) => {
	const counts = new ProcessCounts(() => {});
	const server = await startGrpcServer({
		listen: { host: "127.0.0.1", port: 0 },
		tls: { options: OPTIONS, guard: () => () => {}, isForwarded: () => false },
		methods: echoMethods(),
		health: new Health(),
		counters: counts,
	});
	t.teardown(() => server.close());
	const port = "port" in server.address ? server.address.port : 0;
	for (const { fault, connect } of await invalidClients(ca, "spiffe://weir.test/peer"))
		if (fault !== "tls" && fault !== null) await connect(port);
	const rows = () => counts.rows().filter(({ name }) => name === "weir_handshakes_refused_total");
	for (let tries = 0; tries < 200 && rows().length < 3; tries++) await pause(5);
	t.same(Object.fromEntries(rows().map(({ labels, count }) => [`${labels.listener} ${labels.reason}`, count])), {
		"sidecar no-certificate": 1,
		"sidecar untrusted-certificate": 1,
		"sidecar certificate-ended": 2,
	});
});

t.test("a flood of failed handshakes is logged in few lines, and all are counted", async (t) => {
	const reports: [string, number][] = [];
	const everyMs = 80;
	const digest = new ReportThrottle<"a" | "b">((kind, count) => void reports.push([kind, count]), everyMs);
	for (let times = 0; times < 1_000; times++) digest.add("a");
	digest.add("b");
	t.same(reports, [
		["a", 1],
		["b", 1],
	]);
	while (reports.length < 3) await pause(10);
	t.same(reports[2], ["a", 999], "without another one");
	digest.add("a");
	t.equal(reports.length, 3, "again only after the time");
	digest.close();
	t.same(reports[3], ["a", 1], "or at the end");
	digest.close();
	await pause(3 * everyMs);
	t.equal(reports.length, 4);
	digest.add("b");
	t.same(reports[4], ["b", 1]);
	digest.close();
	t.same(["tls, 3 times", "tls"], [describeFault("tls", 3), describeFault("tls", 1)]);
});
