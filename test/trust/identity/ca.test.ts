/** The CA without Envoy: its keys, the rotation of its roots, and its sockets. */
import { X509Certificate } from "node:crypto";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create, fromBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import t from "tap";
import { SecretSchema } from "../../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
import {
	type DiscoveryRequest,
	DiscoveryRequestSchema,
	type DiscoveryResponse,
} from "../../../src/gen/envoy/service/discovery/v3/discovery_pb.js";
import { X509BundlesRequestSchema, type X509BundlesResponse } from "../../../src/gen/spiffe/workload_pb.js";
import { startCa } from "../../../src/trust/identity/ca.js";
import { certificateSpiffeId } from "../../../src/trust/identity/peer.js";
import { derOf, splitDer } from "../../../src/trust/identity/pem.js";
import { RootStore } from "../../../src/trust/identity/rootStore.js";
import { Roots } from "../../../src/trust/identity/roots.js";
import {
	SECRET_TYPE_URL,
	SecretDiscoveryServiceDefinition,
	WorkloadApiDefinition,
} from "../../../src/trust/identity/wire.js";
import type { TestScope } from "../../envoy/harness.js";
import { ENVOY, identityOf, scratch, TRUST_DOMAIN, until } from "./mesh.js";

t.setTimeout(120_000);

const HOUR_MS = 3_600_000;
const certificates = (pem: string) => derOf(pem).map((der) => new X509Certificate(der));

t.test("only their user can read the keys, and a restart keeps the roots", async (t) => {
	const directory = join(await scratch(t), "ca");
	const first = await startCa({ directory, trustDomain: TRUST_DOMAIN });
	const bundle = first.bundle();
	await first.close();
	t.equal((await stat(directory)).mode & 0o777, 0o700);
	t.equal((await stat(join(directory, "roots.json"))).mode & 0o777, 0o600);
	const again = await startCa({ directory, trustDomain: TRUST_DOMAIN });
	t.equal(again.bundle(), bundle);
	await again.close();
	const refused = (code: string) => ({ name: "WeirError", code });
	await t.rejects(startCa({ directory, trustDomain: "other.test" }), refused("failed-precondition"));
	await t.rejects(startCa({ directory, trustDomain: "Weir.test" }), refused("invalid-argument"));
	await t.rejects(startCa({ directory, trustDomain: TRUST_DOMAIN, svidLifetimeMs: 10 }), refused("invalid-argument"));
	await t.rejects(
		startCa({ directory, trustDomain: TRUST_DOMAIN, svidLifetimeMs: HOUR_MS, rootLifetimeMs: 5 * HOUR_MS }),
		refused("invalid-argument"),
	);
	await chmod(join(directory, "roots.json"), 0o640);
	await t.rejects(startCa({ directory, trustDomain: TRUST_DOMAIN }), refused("failed-precondition"), "others can read");
	await writeFile(join(directory, "roots.json"), '{"roots":[', { mode: 0o600 });
	await chmod(join(directory, "roots.json"), 0o600);
	await t.rejects(startCa({ directory, trustDomain: TRUST_DOMAIN }), refused("failed-precondition"), "damaged");
	const open = join(await scratch(t), "open");
	await mkdir(open, { mode: 0o755 });
	await t.rejects(startCa({ directory: open, trustDomain: TRUST_DOMAIN }), refused("failed-precondition"));
});

t.test("a root is trusted before it signs and until its last SVID expires; its old key is deleted", async (t) => {
	let nowMs = Date.parse("2026-06-01T00:00:00Z");
	const directory = await scratch(t);
	const options = {
		trustDomain: TRUST_DOMAIN,
		rootLifetimeMs: 60 * HOUR_MS,
		svidLifetimeMs: HOUR_MS,
		nowMs: () => nowMs,
	};
	const store = await RootStore.open(directory);
	const roots = await Roots.open(store, options);
	const [old] = certificates(roots.bundle());
	t.same(roots.due(), { what: "prepare", atMs: nowMs + 30 * HOUR_MS });
	nowMs += 30 * HOUR_MS;
	t.equal(await roots.prepare(), true);
	t.equal(await roots.prepare(), false, "one next root at a time");
	t.equal(certificates(roots.bundle()).length, 2);
	t.equal(roots.signer.certificate.trim(), old?.toString().trim(), "the old one still signs");
	t.same(roots.due(), { what: "activate", atMs: nowMs + 20 * HOUR_MS });
	const reopened = await Roots.open(store, options);
	t.equal(reopened.bundle(), roots.bundle(), "a restart keeps the published bundle");
	t.same(reopened.due(), roots.due());
	nowMs += 20 * HOUR_MS;
	t.equal(await reopened.activate(), true);
	t.not(reopened.signer.certificate.trim(), old?.toString().trim());
	t.equal(certificates(reopened.bundle()).length, 2, "SVIDs of the old root are still in use");
	t.notMatch(await readFile(join(directory, "roots.json"), "utf8"), roots.signer.privateKey.slice(40, 100));
	t.same(reopened.due(), { what: "forget", atMs: nowMs + HOUR_MS });
	nowMs += HOUR_MS;
	await reopened.forget();
	t.equal(reopened.bundle().trim(), reopened.signer.certificate.trim());
	t.equal(await reopened.activate(), false, "a root does not sign before it is trusted");

	nowMs += 30 * HOUR_MS;
	await reopened.prepare();
	const { what, atMs } = reopened.due();
	t.equal(what, "activate");
	t.ok(atMs > nowMs, "a root that is prepared late is still trusted before it signs");
	nowMs += 10 * 60 * HOUR_MS;
	t.equal(certificates((await Roots.open(store, options)).bundle()).length, 1, "all ended: a new beginning");
});

async function agent(t: TestScope, svidLifetimeMs = HOUR_MS) {
	const directory = await scratch(t);
	const ca = await startCa({
		directory: join(directory, "ca"),
		trustDomain: TRUST_DOMAIN,
		svidLifetimeMs,
		log: (line) => lines.push(line),
	});
	const lines: string[] = [];
	const socket = join(directory, "run/envoy.sock");
	await ca.workload(ENVOY, socket);
	const client = new Client(`unix:${socket}`, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
	t.teardown(async () => {
		client.close();
		await ca.close();
	});
	return { ca, socket, client, lines };
}

function secretStream(client: Client) {
	const { path, requestSerialize, responseDeserialize } = SecretDiscoveryServiceDefinition.streamSecrets;
	const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
	const answers: DiscoveryResponse[] = [];
	let error: { code?: number } | null = null;
	call.on("data", (answer: DiscoveryResponse) => answers.push(answer));
	call.on("error", (thrown: { code?: number }) => {
		error = thrown;
	});
	const ask = (fields: Partial<Pick<DiscoveryRequest, "resourceNames" | "responseNonce" | "typeUrl">> & object) =>
		call.write(create(DiscoveryRequestSchema, { typeUrl: SECRET_TYPE_URL, ...fields }));
	return { call, answers, ask, error: () => error };
}

const secretIn = (answer: DiscoveryResponse | undefined) =>
	fromBinary(SecretSchema, answer?.resources[0]?.value ?? new Uint8Array());

t.test("SDS sends secrets at once, then only changes; a rejected secret waits for the next change", async (t) => {
	const { ca, socket, client, lines } = await agent(t);
	t.equal((await stat(socket)).mode & 0o777, 0o600);
	await t.rejects(ca.workload(ENVOY, socket), { code: "already-exists" });
	await t.rejects(ca.workload("spiffe://other.test/x", `${socket}2`), { code: "invalid-argument" });
	const open = join(await scratch(t), "open");
	await mkdir(open, { mode: 0o711 });
	await t.rejects(ca.workload(ENVOY, join(open, "a.sock")), { code: "failed-precondition" }, "others can enter");
	const own = secretStream(client);
	const roots = secretStream(client);
	own.ask({ resourceNames: ["default"] });
	roots.ask({ resourceNames: ["ROOTCA"] });
	await until(() => own.answers.length === 1 && roots.answers.length === 1, "first answers");
	const first = secretIn(own.answers[0]);
	t.equal(first.name, "default");
	if (first.type.case !== "tlsCertificate") throw new Error("no certificate");
	const pem = Buffer.from(first.type.value.certificateChain?.specifier.value as Uint8Array).toString();
	t.equal(certificateSpiffeId(derOf(pem)[0] ?? new Uint8Array()), ENVOY);
	const trusted = secretIn(roots.answers[0]);
	t.equal(trusted.type.case, "validationContext");

	own.ask({ resourceNames: ["default"], responseNonce: own.answers[0]?.nonce ?? "" });
	call(roots, { message: "cannot be used", code: 3 });
	await until(() => lines.some((line) => line.includes("cannot be used")), "the rejection is logged");
	t.equal(own.answers.length, 1, "an ACK is not answered");
	t.equal(roots.answers.length, 1, "a NACK is not answered");
	await ca.rotateRoot(100);
	await until(() => own.answers.length === 2 && roots.answers.length === 2, "the new root, and a certificate of it");
	t.not(own.answers[1]?.versionInfo, own.answers[0]?.versionInfo);
	own.ask({ resourceNames: ["ROOTCA"], responseNonce: "1" });
	own.ask({ resourceNames: [ENVOY], responseNonce: "2" });
	await until(() => own.answers.length === 3, "other names");
	t.equal(secretIn(own.answers[2]).name, ENVOY, "an answer to something older is passed over");
	own.ask({ resourceNames: ["spiffe://weir.test/weir/control"], responseNonce: "3" });
	await until(() => own.error() !== null, "the stream ends");
	t.match(own.error(), { code: 7 }, "another workload's secret: permission denied");
	roots.call.cancel();

	function call(stream: ReturnType<typeof secretStream>, errorDetail: { message: string; code: number }): void {
		stream.call.write(
			create(DiscoveryRequestSchema, {
				typeUrl: SECRET_TYPE_URL,
				resourceNames: ["ROOTCA"],
				responseNonce: stream.answers[0]?.nonce ?? "",
				errorDetail,
			}),
		);
	}
});

t.test("FetchSecrets returns the named secrets, and the Workload API requires its header", async (t) => {
	const { ca, client } = await agent(t);
	const fetch = (resourceNames: string[], typeUrl = SECRET_TYPE_URL) =>
		new Promise<DiscoveryResponse | number>((resolve) => {
			const { path, requestSerialize, responseDeserialize } = SecretDiscoveryServiceDefinition.fetchSecrets;
			const request = create(DiscoveryRequestSchema, { typeUrl, resourceNames });
			client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, answer) =>
				resolve(error === null ? (answer as DiscoveryResponse) : error.code),
			);
		});
	const both = await fetch([]);
	t.same(typeof both === "number" ? both : both.resources.map(({ value }) => fromBinary(SecretSchema, value).name), [
		ENVOY,
		`spiffe://${TRUST_DOMAIN}`,
	]);
	t.equal(await fetch(["unknown"]), 7);
	t.equal(await fetch(["default"], "type.googleapis.com/envoy.config.cluster.v3.Cluster"), 3);
	t.equal(await fetch(Array.from({ length: 17 }, () => "default")), 3);

	const bundles = (metadata: Metadata) => {
		const { path, requestSerialize, responseDeserialize } = WorkloadApiDefinition.fetchX509Bundles;
		return client.makeServerStreamRequest(
			path,
			requestSerialize,
			responseDeserialize,
			create(X509BundlesRequestSchema),
			metadata,
		);
	};
	const without = bundles(new Metadata());
	t.match(
		await new Promise((resolve) => without.on("error", resolve).resume()),
		{ code: 3 },
		"a browser cannot send the request",
	);
	const header = new Metadata();
	header.set("workload.spiffe.io", "true");
	const stream = bundles(header);
	const got: X509BundlesResponse[] = [];
	stream.on("data", (answer) => got.push(answer)).on("error", () => {});
	await until(() => got.length === 1, "the bundle");
	t.equal(splitDer(got[0]?.bundles[`spiffe://${TRUST_DOMAIN}`] ?? new Uint8Array())?.length, 1);
	const rotated = ca.rotateRoot(100);
	await until(() => got.length > 1, "both roots");
	t.equal(splitDer(got[1]?.bundles[`spiffe://${TRUST_DOMAIN}`] ?? new Uint8Array())?.length, 2);
	await rotated;
	stream.cancel();
});

t.test("an SVID is renewed at half of its lifetime", async (t) => {
	const { socket } = await agent(t, 4_000);
	const workload = await identityOf(t, socket);
	const { certificate, notAfterMs } = workload.current();
	await until(() => workload.current().certificate !== certificate, "another one");
	t.ok(workload.current().notAfterMs >= notAfterMs);
});
