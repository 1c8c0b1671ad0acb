/** The Workload API client: accepted answers, and its behaviour while the agent is unavailable. */
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { type Metadata, Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import fc from "fast-check";
import t from "tap";
import {
	type X509SVIDRequest,
	type X509SVIDResponse,
	X509SVIDResponseSchema,
	X509SVIDSchema,
} from "../../../src/gen/spiffe/workload_pb.js";
import { startCa } from "../../../src/trust/identity/ca.js";
import { grpcChannelCredentials, grpcPeerSpiffeId } from "../../../src/trust/identity/grpcTls.js";
import { mutualTls } from "../../../src/trust/identity/nodeTls.js";
import { derOf } from "../../../src/trust/identity/pem.js";
import { readSvid } from "../../../src/trust/identity/readSvid.js";
import { WorkloadApiDefinition } from "../../../src/trust/identity/wire.js";
import { followWorkload } from "../../../src/trust/identity/workloadClient.js";
import { listenHttp2 } from "../../../src/trust/tls/connectionLimits.js";
import type { TestScope } from "../../envoy/harness.js";
import { createDevelopmentCa } from "./developmentCa.js";
import { CLIENT, ENVOY, id, identityOf, PREDICTOR, scratch, TRUST_DOMAIN, until } from "./mesh.js";

t.setTimeout(120_000);

const nowMs = Date.now();
const HOUR_MS = 3_600_000;
const ca = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs, lifetimeMs: HOUR_MS });
const joined = (pem: string) => Buffer.concat(derOf(pem));

async function message(
	spiffeId: string,
	changes: Partial<Record<"x509Svid" | "x509SvidKey" | "bundle", Uint8Array>> = {},
) {
	const { certificate, privateKey } = await ca.issue({ spiffeId });
	return create(X509SVIDSchema, {
		spiffeId,
		x509Svid: joined(certificate),
		x509SvidKey: joined(privateKey),
		bundle: joined(ca.certificate),
		...changes,
	});
}

t.test("only a consistent answer of the agent is accepted", async (t) => {
	const good = await message(CLIENT);
	const svid = readSvid({ svids: [good, await message(ENVOY)] }, nowMs);
	t.match(
		svid,
		{ spiffeId: CLIENT, notAfterMs: Math.floor((nowMs + HOUR_MS) / 1000) * 1000 },
		"the first is the default",
	);
	const other = await message(ENVOY);
	const empty = new Uint8Array();
	const wrong: Readonly<Record<string, Parameters<typeof readSvid>[0]["svids"]>> = {
		"no identity": [],
		"another id than the certificate's": [{ ...good, spiffeId: ENVOY }],
		"another's key": [{ ...good, x509SvidKey: other.x509SvidKey }],
		"no key": [{ ...good, x509SvidKey: empty }],
		"no certificate": [{ ...good, x509Svid: empty }],
		"no bundle": [{ ...good, bundle: empty }],
		"half a certificate": [{ ...good, x509Svid: good.x509Svid.subarray(0, 100) }],
		"a bundle that is none": [{ ...good, bundle: Uint8Array.of(0x30, 1, 1) }],
		"a CA certificate": [{ ...good, x509Svid: joined(ca.certificate) }],
	};
	for (const [what, svids] of Object.entries(wrong)) t.type(readSvid({ svids }, nowMs), "string", what);
	t.equal(readSvid({ svids: [good] }, nowMs + HOUR_MS + 1), "its certificate has ended");
	fc.assert(
		fc.property(fc.uint8Array(), fc.uint8Array(), fc.uint8Array(), (x509Svid, x509SvidKey, bundle) => {
			return typeof readSvid({ svids: [{ ...good, x509Svid, x509SvidKey, bundle }] }, nowMs) === "string";
		}),
		{ numRuns: 500 },
	);
});

/** An agent with responses from the test. */
async function fakeAgent(t: TestScope, socket: string) {
	const calls: ServerWritableStream<X509SVIDRequest, X509SVIDResponse>[] = [];
	const headers: Metadata[] = [];
	const server = new Server();
	server.addService(
		{ fetchX509Svid: WorkloadApiDefinition.fetchX509Svid },
		{
			fetchX509Svid(call: ServerWritableStream<X509SVIDRequest, X509SVIDResponse>) {
				headers.push(call.metadata);
				calls.push(call);
			},
		},
	);
	await new Promise<void>((resolve, reject) =>
		server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
			error ? reject(error) : resolve(),
		),
	);
	t.teardown(() => server.forceShutdown());
	return { calls, headers, stop: () => server.forceShutdown() };
}

t.test("the last good SVID is used until it expires, while the agent is down or wrong", async (t) => {
	const socket = join(await scratch(t), "agent.sock");
	const agent = await fakeAgent(t, socket);
	let clock = nowMs;
	const lines: string[] = [];
	const following = followWorkload({
		socketPath: `unix://${socket}`,
		nowMs: () => clock,
		log: (line) => lines.push(line),
		firstWaitMs: 60_000,
	});
	await until(() => agent.calls.length === 1, "the client asks");
	t.same(agent.headers[0]?.get("workload.spiffe.io"), ["true"]);
	agent.calls[0]?.emit("error", { code: 7, details: "no identity issued" });
	await until(() => agent.calls.length === 2, "it asks again, as SPIRE expects of a workload that is not known yet");
	const first = await message(CLIENT);
	agent.calls[1]?.write(create(X509SVIDResponseSchema, { svids: [first] }));
	const workload = await following;
	t.teardown(() => workload.close());
	t.equal(workload.current().spiffeId, CLIENT);
	t.match(lines, [/no identity issued/]);
	let rotations = 0;
	const stop = workload.onRotated(() => rotations++);

	agent.calls[1]?.write(create(X509SVIDResponseSchema, { svids: [{ ...first, bundle: new Uint8Array() }] }));
	await until(() => lines.length === 2, "an invalid response is logged");
	agent.calls[1]?.write(create(X509SVIDResponseSchema, { svids: [first] }));
	const second = await message(CLIENT);
	agent.calls[1]?.write(create(X509SVIDResponseSchema, { svids: [second] }));
	await until(() => rotations > 0, "the next good one");
	t.equal(rotations, 1, "an invalid or equal SVID is no rotation");
	agent.stop();
	await until(() => lines.length > 2, "the agent is away");
	t.equal(workload.current().spiffeId, CLIENT);
	clock += 2 * HOUR_MS;
	t.throws(() => workload.current(), { name: "WeirError", code: "unavailable", message: /ended at/ });
	clock = nowMs;
	const back = await fakeAgent(t, socket);
	await until(() => back.calls.length === 1, "an agent that is back is found");
	stop();
	back.calls[0]?.write(create(X509SVIDResponseSchema, { svids: [await message(CLIENT)] }));
	await until(() => workload.current().certificate !== "" && lines.length > 0, "it goes on");
	t.equal(rotations, 1, "a stopped listener is not called");
	const { certificate } = await ca.issue({ spiffeId: ENVOY });
	t.equal(workload.idOf(derOf(certificate)[0] ?? new Uint8Array()), ENVOY);
	const elsewhere = await createDevelopmentCa({ trustDomain: "other.test", nowMs, lifetimeMs: HOUR_MS });
	const foreign = await elsewhere.issue({ spiffeId: "spiffe://other.test/weir/envoy/gateway" });
	t.equal(workload.idOf(derOf(foreign.certificate)[0] ?? new Uint8Array()), null, "another trust domain has no id");
});

t.test("a missing agent is reported in time, with a hint", async (t) => {
	const socketPath = join(await scratch(t), "none.sock");
	await t.rejects(followWorkload({ socketPath, firstWaitMs: 300 }), { code: "unavailable", hint: /SPIRE/ });
});

t.test("both ends of grpc-js verify ids, also after a rotation", async (t) => {
	const directory = await scratch(t);
	const own = await startCa({ directory: join(directory, "ca"), trustDomain: TRUST_DOMAIN });
	t.teardown(() => own.close());
	const socket = (name: string) => join(directory, `${name}.sock`);
	for (const [name, spiffeId] of [
		["predictor", PREDICTOR],
		["client", CLIENT],
	] as const)
		await own.workload(spiffeId, socket(name));
	const serverIdentity = await identityOf(t, socket("predictor"));
	const caller = await identityOf(t, socket("client"));
	const peers: (string | null)[] = [];
	const server = new Server();
	server.addService(
		{ fetchX509Svid: WorkloadApiDefinition.fetchX509Svid },
		{
			fetchX509Svid(call: ServerWritableStream<X509SVIDRequest, X509SVIDResponse>) {
				peers.push(grpcPeerSpiffeId(call, serverIdentity));
				call.end();
			},
		},
	);
	const { injectConnection } = server.createConnectionInjector(ServerCredentials.createInsecure());
	const at = { host: "127.0.0.1", port: 0, tls: mutualTls(serverIdentity), connections: 10 };
	const listener = await listenHttp2(at, injectConnection);
	const { port } = listener;
	t.teardown(() => {
		listener.close();
		server.forceShutdown();
	});
	const { Client, credentials, Metadata: Headers } = await import("@grpc/grpc-js");
	const ask = async (channel: ReturnType<typeof grpcChannelCredentials>): Promise<number | undefined> => {
		const client = new Client(`127.0.0.1:${port}`, channel, { "grpc.use_local_subchannel_pool": 1 });
		const { path, requestSerialize, responseDeserialize } = WorkloadApiDefinition.fetchX509Svid;
		const request = create(WorkloadApiDefinitionRequest);
		const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, new Headers());
		const code = await new Promise<number | undefined>((resolve) => {
			call.on("error", (error: { code?: number }) => resolve(error.code));
			call.on("end", () => resolve(0)).resume();
		});
		client.close();
		return code;
	};
	const { X509SVIDRequestSchema: WorkloadApiDefinitionRequest } = await import(
		"../../../src/gen/spiffe/workload_pb.js"
	);
	const mutual = grpcChannelCredentials(caller, (peer) => peer === PREDICTOR);
	t.equal(await ask(mutual), 0);
	t.same(peers, [CLIENT]);
	t.equal(await ask(grpcChannelCredentials(caller, (peer) => peer === id("control"))), 14, "another server id");
	t.equal(await ask(credentials.createInsecure()), 14, "plain TCP");
	t.equal(await ask(credentials.createSsl(Buffer.from(own.bundle()))), 14, "TLS without a certificate");
	const before = serverIdentity.current().certificate;
	await own.rotateRoot(500);
	await until(() => serverIdentity.current().certificate !== before, "the server has the new root's certificate");
	await until(() => caller.current().trustBundle === serverIdentity.current().trustBundle, "so does the client");
	t.equal(await ask(mutual), 0, "after the rotation");
	t.same(peers, [CLIENT, CLIENT]);
});
