/** `weir sidecar --listen` serves only mutual TLS, for the Envoys of its trust domain, with renewed identities. */

import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import t from "tap";
import { HEALTH_CHECK } from "../../../src/publish/sidecar/grpc/health.js";
import { CALLOUT_CONNECTIONS_MAX } from "../../../src/publish/sidecar/grpc/server.js";
import { startCa } from "../../../src/trust/identity/ca.js";
import { clientTls } from "../../../src/trust/identity/nodeTls.js";
import type { Identity } from "../../../src/trust/identity/svid.js";
import { followWorkload } from "../../../src/trust/identity/workloadClient.js";
import { startSidecarChild } from "../../failure/sidecarChild.js";
import { byItsSession } from "../../trust/identity/resumption.js";
import { versioned } from "./sampleTable.js";

t.setTimeout(120_000);

const directory = await mkdtemp(join(tmpdir(), "weir-tcp-"));
t.teardown(() => rm(directory, { recursive: true, force: true }));
const TD = "weir.test";
const SIDECAR = `spiffe://${TD}/weir/sidecar`;
const ca = await startCa({ directory: join(directory, "ca"), trustDomain: TD });
t.teardown(() => ca.close());
const foreign = await startCa({ directory: join(directory, "foreign"), trustDomain: TD });
t.teardown(() => foreign.close());

async function identityOf(from: typeof ca, name: string, path: string): Promise<Identity> {
	const socketPath = join(directory, `${name}.sock`);
	await from.workload(`spiffe://${TD}/${path}`, socketPath);
	const workload = await followWorkload({ socketPath });
	t.teardown(() => workload.close());
	return workload;
}

const envoy = await identityOf(ca, "envoy", "weir/envoy/edge");
const other = await identityOf(ca, "other", "web");
const forged = await identityOf(foreign, "forged", "weir/envoy/edge");
const identity = join(directory, "sidecar.sock");
await ca.workload(SIDECAR, identity);
const tableFile = join(directory, "table.json");
await writeFile(tableFile, JSON.stringify(versioned({ gateways: [], services: [] })), { mode: 0o600 });

const start = (...more: readonly string[]) =>
	startSidecarChild(t, { arguments: ["--table", tableFile, "--listen", "127.0.0.1:0", ...more] });

/** gRPC status of a health check on a connection of its own, or why there was none. */
async function ask(port: number, options: ConnectionOptions | null, more: OutgoingHttpHeaders = {}): Promise<string> {
	const session: ClientHttp2Session =
		options === null
			? connect(`http://127.0.0.1:${port}`)
			: connect(`https://127.0.0.1:${port}`, {
					createConnection: () => connectTls({ host: "127.0.0.1", port, ALPNProtocols: ["h2"], ...options }),
				});
	try {
		return await new Promise<string>((resolve, reject) => {
			session.on("error", reject);
			session.on("close", () => reject(new Error("closed")));
			const head = { ":method": "POST", ":path": HEALTH_CHECK, "content-type": "application/grpc" };
			const call = session.request({ ...head, ...more });
			call.on("response", (headers) => {
				if (headers["grpc-status"] !== undefined) resolve(`grpc ${headers["grpc-status"]}`);
			});
			call.on("error", reject);
			call.on("trailers", (trailers) => resolve(`grpc ${trailers["grpc-status"]}`));
			call.on("close", () => reject(new Error("no answer")));
			call.resume();
			call.end(Buffer.alloc(5));
		});
	} catch {
		return "refused";
	} finally {
		session.destroy();
	}
}

const isSidecar = (id: string): boolean => id === SIDECAR;

t.test("without an identity it does not listen on TCP, not even on the loopback", async (t) => {
	await t.rejects(start(), /mutual TLS/);
});

t.test("only an Envoy of the trust domain is answered", async (t) => {
	const { ready, log } = await start("--identity", identity);
	const port = Number(ready.port);
	t.equal(await ask(port, clientTls(envoy, isSidecar)), "grpc 0");
	t.equal(await ask(port, clientTls(other, isSidecar)), "refused", "another workload");
	const { first, second } = await byItsSession(port, { ...clientTls(envoy, isSidecar), ALPNProtocols: ["h2"] });
	t.equal(first.received, "h2");
	t.match(second, { reused: false, received: "" }, "a session is no certificate");
	t.equal(
		await ask(
			port,
			clientTls(forged, () => true),
		),
		"refused",
		"the same id of another authority",
	);
	const { cert: _cert, key: _key, ...anonymous } = clientTls(envoy, isSidecar);
	t.equal(await ask(port, anonymous), "refused", "without a certificate");
	t.equal(await ask(port, null), "refused", "plain text");
	const old = { ...clientTls(envoy, isSidecar), minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
	t.equal(await ask(port, old), "refused", "TLS 1.2");
	t.equal(await ask(port, { ...clientTls(envoy, isSidecar), ALPNProtocols: ["http/1.1"] }), "refused", "HTTP/1.1");
	t.equal(await ask(port, clientTls(envoy, isSidecar)), "grpc 0", "and it still answers");
	t.match(log(), /not-admitted/);
	t.match(log(), /spiffe:\/\/weir\.test\/web/, "the log names the client");
});

t.test("a request that an Envoy forwards for a client is refused", async (t) => {
	const { ready } = await start("--identity", identity);
	for (const name of ["x-request-id", "x-forwarded-proto"])
		t.equal(await ask(Number(ready.port), clientTls(envoy, isSidecar), { [name]: "1" }), "grpc 7", name);
});

t.test("peers may be limited to given ids", async (t) => {
	const { ready } = await start("--identity", identity, "--peers", `spiffe://${TD}/web`);
	t.equal(await ask(Number(ready.port), clientTls(other, isSidecar)), "grpc 0");
	t.equal(await ask(Number(ready.port), clientTls(envoy, isSidecar)), "refused");
});

t.test("a running sidecar follows a new root", async (t) => {
	const { ready } = await start("--identity", identity);
	const port = Number(ready.port);
	const before = envoy.current().trustBundle;
	const changed = new Promise<void>((resolve) => {
		const stop = envoy.onRotated(() => {
			stop();
			resolve();
		});
	});
	await ca.rotateRoot(0);
	await changed;
	t.not(envoy.current().trustBundle, before);
	// The sidecar gets the root by its own stream, perhaps a moment later.
	let got = "";
	for (let tries = 0; tries < 200 && got !== "grpc 0"; tries++) got = await ask(port, clientTls(envoy, isSidecar));
	t.equal(got, "grpc 0");
});

t.test("silent connections do not keep an Envoy out", async (t) => {
	const { ready } = await start("--identity", identity);
	const port = Number(ready.port);
	for (let index = 0; index < CALLOUT_CONNECTIONS_MAX + 100; index++) {
		const socket = connectTcp(port, "127.0.0.1");
		socket.on("error", () => {});
		t.teardown(() => socket.destroy());
		await once(socket, "connect");
	}
	t.equal(await ask(port, clientTls(envoy, isSidecar)), "grpc 0");
});

t.test("calls on a connection with an expired certificate are unauthenticated, and it is closed", async (t) => {
	const brief = await startCa({ directory: join(directory, "brief"), trustDomain: TD, svidLifetimeMs: 4_000 });
	t.teardown(() => brief.close());
	const own = join(directory, "brief-sidecar.sock");
	await brief.workload(SIDECAR, own);
	const peer = await identityOf(brief, "brief-envoy", "weir/envoy/edge");
	const { ready } = await start("--identity", own);
	const port = Number(ready.port);
	const shown = clientTls(peer, isSidecar);
	const ends = Date.parse(new X509Certificate(peer.current().certificate).validTo);
	const session = connect(`https://127.0.0.1:${port}`, {
		createConnection: () => connectTls({ host: "127.0.0.1", port, ALPNProtocols: ["h2"], ...shown }),
	});
	session.on("error", () => {});
	const closed = once(session, "close");
	const call = async (): Promise<string> => {
		const asked = session.request({ ":method": "POST", ":path": HEALTH_CHECK, "content-type": "application/grpc" });
		let status = "none";
		asked.on("response", (headers) => {
			status = String(headers["grpc-status"] ?? status);
		});
		asked.on("trailers", (trailers) => {
			status = String(trailers["grpc-status"]);
		});
		asked.on("error", () => {});
		asked.resume().end(Buffer.alloc(5));
		await once(asked, "close");
		return status;
	};
	t.equal(await call(), "0");
	while (Date.now() < ends) await new Promise((resolve) => setTimeout(resolve, 100));
	t.equal(await call(), "7");
	await closed;
	t.equal(await ask(port, clientTls(peer, isSidecar)), "grpc 0", "the next one shows the renewed certificate");
});
