/** The identity of a certificate, and TLS in Node that checks it. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:tls";
import fc from "fast-check";
import t from "tap";
import { clientTls, followRotation, serverTls } from "../../../src/trust/identity/nodeTls.js";
import { certificateSpiffeId, peerSpiffeId } from "../../../src/trust/identity/peer.js";
import { derOf, splitDer } from "../../../src/trust/identity/pem.js";
import { makeRoot } from "../../../src/trust/identity/signing.js";
import type { Identity, Svid } from "../../../src/trust/identity/svid.js";
import { crafted, dns, uri } from "./craftedCertificates.js";
import { createDevelopmentCa, type DevelopmentCa } from "./developmentCa.js";
import { attempt, CLIENT, client, ENVOY, guardedServer, id, PREDICTOR, TRUST_DOMAIN } from "./mesh.js";

t.setTimeout(120_000);

const nowMs = Date.now();
const root = await makeRoot({ trustDomain: TRUST_DOMAIN, commonName: "test", nowMs, notAfterMs: nowMs + 3_600_000 });
const ca = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs, lifetimeMs: 3_600_000 });

/** An identity without an agent, which a test rotates. */
async function identity(spiffeId: string, from: DevelopmentCa, trustBundle = from.certificate) {
	const listeners = new Set<() => void>();
	const make = async (by: DevelopmentCa, bundle: string): Promise<Svid> => ({
		...(await by.issue({ spiffeId })),
		spiffeId,
		trustBundle: bundle,
		notBeforeMs: nowMs,
		notAfterMs: nowMs + 3_600_000,
	});
	let svid = await make(from, trustBundle);
	const self: Identity & {
		rotate(by: DevelopmentCa, bundle: string): Promise<void>;
		readonly following: () => number;
	} = {
		current: () => svid,
		onRotated(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		idOf(der) {
			const found = certificateSpiffeId(der);
			return found?.startsWith(`spiffe://${TRUST_DOMAIN}/`) ? found : null;
		},
		async rotate(by, bundle) {
			svid = await make(by, bundle);
			for (const listener of listeners) listener();
		},
		following: () => listeners.size,
	};
	return self;
}

const der = (pem: string): Uint8Array => derOf(pem)[0] ?? new Uint8Array();

t.test("an SVID has exactly one URI name, a SPIFFE id with a path, and is not a CA", async (t) => {
	const read = async (names: Parameters<typeof crafted>[1], options = {}) =>
		certificateSpiffeId(der((await crafted(root, names, options)).certificate));
	t.equal(await read([uri(CLIENT)]), CLIENT);
	t.equal(await read([dns("a.test"), uri(CLIENT)]), CLIENT, "other kinds of names do not matter");
	t.equal(await read([uri(CLIENT)], { ca: true }), null, "a CA");
	t.equal(certificateSpiffeId(der(root.certificate)), null, "the root itself");
	const invalid: Readonly<Record<string, readonly string[]>> = {
		"no name": [],
		"two URIs": [CLIENT, id("root")],
		"the same URI twice": [CLIENT, CLIENT],
		"a SPIFFE id and another URI": [CLIENT, "https://weir.test/"],
		"another scheme": ["https://weir.test/client"],
		"the scheme in capitals": ["SPIFFE://weir.test/weir/client"],
		"the trust domain in capitals": ["spiffe://WEIR.test/weir/client"],
		"no path": ["spiffe://weir.test"],
		"an empty path": ["spiffe://weir.test/"],
		NUL: [`${CLIENT}\0.evil`],
		"NUL at the end": [`${CLIENT}\0`],
		"a line break": [`${CLIENT}\n`],
		"percent-encoding": ["spiffe://weir.test/weir/%63lient"],
		"a query": [`${CLIENT}?a`],
		"a fragment": [`${CLIENT}#a`],
		"a user": ["spiffe://root@weir.test/weir/client"],
		"a port": ["spiffe://weir.test:80/weir/client"],
		"dot segments": ["spiffe://weir.test/weir/envoy/../client"],
		"a comma and another id": [`${CLIENT}, URI:${id("root")}`],
		"a quote": [`${CLIENT}"`],
		"2,049 bytes": [`${CLIENT}/${"a".repeat(2_049)}`],
	};
	for (const [what, names] of Object.entries(invalid)) t.equal(await read(names.map(uri)), null, what);
	t.equal(await read([dns(`a.test, URI:${CLIENT}`)]), null, "a DNS name that looks like another name");
	t.equal(await read([dns(CLIENT)]), null, "the id as a DNS name");
});

t.test("random bytes give no identity and no crash", async (t) => {
	const good = der((await ca.issue({ spiffeId: CLIENT })).certificate);
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => certificateSpiffeId(bytes) === null),
		{ numRuns: 500 },
	);
	// A flip in the extension's own lengths makes Node return null for its names.
	for (let at = 0; at < good.length; at++) {
		const broken = Uint8Array.from(good);
		broken[at] = (broken[at] ?? 0) ^ 1;
		certificateSpiffeId(broken);
	}
	fc.assert(
		fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
			const broken = Uint8Array.from(good);
			broken[at] = (broken[at] ?? 0) ^ flip;
			const found = certificateSpiffeId(broken);
			// A flipped letter inside the id is another id, which no root has signed; it never is an ill-formed one.
			return found === null || /^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)+$/.test(found);
		}),
		{ numRuns: 500 },
	);
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
			const parts = splitDer(bytes);
			return parts === null || Buffer.concat(parts).equals(Buffer.from(bytes));
		}),
		{ numRuns: 2_000, examples: [[Uint8Array.of(0x30, 0)], [Uint8Array.of(0x30, 0x84, 1, 1, 1, 1)]] },
	);
	t.equal(splitDer(Uint8Array.of(0x30, 1)), null, "cut off");
	t.same(splitDer(Uint8Array.of(0x30, 1, 7, 0x30, 0))?.length, 2);
	t.equal(splitDer(Buffer.concat(Array.from({ length: 257 }, () => Buffer.of(0x30, 0)))), null, "too many");
});

t.test("a server accepts only its admitted ids, and reports why it refuses others", async (t) => {
	const server = await guardedServer(t, await identity(PREDICTOR, ca), [ENVOY]);
	const envoy = await identity(ENVOY, ca);
	t.equal(await client(envoy, server.port, PREDICTOR)(), 200);
	await t.rejects(client(envoy, server.port, ENVOY)(), /the server is .*predictor/);
	const elsewhere = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs, lifetimeMs: 3_600_000 });
	const expect = async (what: string, options: Parameters<typeof attempt>[1], refusal: RegExp) => {
		server.refusals.length = 0;
		t.equal(await attempt(server.port, options), "refused", what);
		t.match(server.refusals.join(), refusal, what);
	};
	const of = ({ certificate, privateKey }: { certificate: string; privateKey: string }) => ({
		cert: certificate,
		key: privateKey,
	});
	await expect("no certificate", {}, /PEER_DID_NOT_RETURN_A_CERTIFICATE/);
	await expect("another root", of(await elsewhere.issue({ spiffeId: ENVOY })), /ECONNRESET/);
	await expect("another id", of(await ca.issue({ spiffeId: CLIENT })), /not-admitted .*client/);
	await expect(
		"expired",
		of(await ca.issue({ spiffeId: ENVOY, nowMs: nowMs - 120_000, lifetimeMs: 60_000 })),
		/ECONNRESET/,
	);
	await expect(
		"TLS 1.2",
		{ ...of(await ca.issue({ spiffeId: ENVOY })), maxVersion: "TLSv1.2" },
		/UNSUPPORTED_PROTOCOL|protocol/i,
	);
	const bad = await guardedServer(t, await identity(PREDICTOR, ca, `${ca.certificate}\n${root.certificate}`), [
		ENVOY,
		"spiffe://other.test/weir/envoy/gateway",
	]);
	for (const [what, names] of [
		["two URIs", [uri(ENVOY), uri(id("root"))]],
		["NUL", [uri(`${ENVOY}\0.evil`)]],
		["another trust domain by our own root", [uri("spiffe://other.test/weir/envoy/gateway")]],
	] as const) {
		bad.refusals.length = 0;
		t.equal(await attempt(bad.port, of(await crafted(root, names))), "refused", what);
		t.same(bad.refusals, ["no-svid unauthenticated"], what);
	}
	t.equal(await attempt(bad.port, of(await crafted(root, [uri(ENVOY)]))), 200, "both roots of the bundle are trusted");
});

t.test("after a rotation connections use the new certificate and roots, and no session is resumed", async (t) => {
	const next = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs, lifetimeMs: 3_600_000 });
	const own = await identity(PREDICTOR, ca);
	const server = createServer(serverTls(own), (socket) => socket.end(peerSpiffeId(socket) ?? "unauthenticated"));
	const stop = followRotation(server, own);
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => void server.close());
	const { port } = server.address() as AddressInfo;
	const caller = await identity(CLIENT, ca);
	const sessions: Buffer[] = [];
	const visit = async (who: Identity, session?: Buffer): Promise<string> => {
		const socket = connect({
			host: "127.0.0.1",
			port,
			...clientTls(who, (peer) => peer === PREDICTOR),
			...(session === undefined ? {} : { session }),
		});
		socket.on("session", (one) => sessions.push(one));
		let text = "";
		const error = await new Promise<Error | null>((resolve) => {
			socket.on("data", (chunk) => {
				text += chunk;
			});
			socket.on("error", resolve).on("close", () => resolve(null));
		});
		return error === null ? `${text}${socket.isSessionReused() ? " again" : ""}` : "refused";
	};
	t.equal(await visit(caller), CLIENT);
	t.equal(await visit(caller, sessions[0]), CLIENT, "a session cannot outlive its certificate or its root");
	const both = `${ca.certificate}\n${next.certificate}`;
	await own.rotate(ca, both);
	t.equal(await visit(await identity(CLIENT, next, both)), CLIENT, "the next root is trusted");
	t.equal(await visit(caller), CLIENT, "the old one too");
	await own.rotate(next, next.certificate);
	t.equal(await visit(caller), "refused", "until it is forgotten");
	await caller.rotate(next, next.certificate);
	t.equal(await visit(caller), CLIENT);
	stop();
	t.equal(own.following(), 0);
});

t.test("a peer without a verified chain has no identity", async (t) => {
	const own = await identity(PREDICTOR, ca);
	const server = createServer({ ...serverTls(own), rejectUnauthorized: false }, (socket) =>
		socket.end(peerSpiffeId(socket) ?? "unauthenticated"),
	);
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => void server.close());
	const { port } = server.address() as AddressInfo;
	const elsewhere = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs, lifetimeMs: 3_600_000 });
	const { certificate, privateKey } = await elsewhere.issue({ spiffeId: ENVOY });
	const socket = connect({ host: "127.0.0.1", port, cert: certificate, key: privateKey, rejectUnauthorized: false });
	const [text] = await once(socket, "data");
	t.equal(String(text), "unauthenticated");
});
