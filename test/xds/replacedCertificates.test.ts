/** Certificates in files that are replaced: they do not come with the listener. With a real Envoy. */
import { once } from "node:events";
import { rename, writeFile } from "node:fs/promises";
import { connect, type TLSSocket } from "node:tls";
import t from "tap";
import { mutualTls, spiffe, TRUST_DOMAIN } from "../access/mutualTls.js";
import { startVariantServer } from "../envoy/variantServer.js";
import { gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import { createDevelopmentCa, type DevelopmentCa } from "../identity/developmentCa.js";
import { planScene } from "./planScene.js";

t.setTimeout(60_000);

/** As `mv` and Kubernetes do it. */
async function replace(file: string, text: string): Promise<void> {
	await writeFile(`${file}.new`, text, { mode: 0o600 });
	await rename(`${file}.new`, file);
}

const newCa = (): Promise<DevelopmentCa> =>
	createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs: Date.now(), lifetimeMs: 3_600_000 });

t.test("a certificate, and a client CA, that are replaced hold for the next connection", async (t) => {
	const upstream = await startVariantServer("v1");
	t.teardown(() => upstream.close());
	const tls = await mutualTls(t);
	const resources = resourceSet({
		gateways: [gateway({ tls: tls.gateway })],
		services: [service("shop", [variant("v1", upstream.port)])],
	});
	const { envoy, listenersMade } = await planScene(t, resources);
	const port = envoy.port("edge");
	const made = await listenersMade();
	/** @returns the server's fingerprint, or the client's alert */
	const asked = async (ca: DevelopmentCa): Promise<string> => {
		const own = await ca.issue({ spiffeId: spiffe("web") });
		const socket: TLSSocket = connect({
			...{ port, host: "127.0.0.1", rejectUnauthorized: false, cert: own.certificate, key: own.privateKey },
		});
		try {
			await once(socket, "secureConnect");
			const { fingerprint256 } = socket.getPeerCertificate();
			// With TLS 1.3 a client hears only after its handshake that its certificate is refused.
			socket.write("GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n");
			const [answer] = await once(socket, "data");
			return String(answer).startsWith("HTTP/1.1 200") ? fingerprint256 : String(answer);
		} catch (error) {
			return (error as NodeJS.ErrnoException).code ?? String(error);
		} finally {
			socket.destroy();
		}
	};
	const first = await asked(tls.ca);
	t.match(first, /^([0-9A-F]{2}:){31}/);
	t.match(await asked(await newCa()), /ERR_SSL|ECONNRESET/, "nobody of another CA");

	const updates = async (part: string): Promise<number> => envoy.stat(`sds.${part}/edge.update_success`);
	/** Until Envoy has read it. */
	const taken = async (part: string, change: () => Promise<void>): Promise<void> => {
		const before = await asked(tls.ca);
		await change();
		while ((await asked(tls.ca)) === before) await new Promise((resolve) => setImmediate(resolve));
		t.ok((await updates(part)) > 0);
	};
	await taken("weir.certificate", async () => {
		const { certificate, privateKey } = await tls.ca.issue({ spiffeId: spiffe("gateway"), dnsNames: ["gateway.test"] });
		await replace(tls.gateway.certificateFile, certificate);
		await replace(tls.gateway.privateKeyFile, privateKey);
	});
	t.match(await asked(tls.ca), /^([0-9A-F]{2}:){31}/, "it answers with the newer one");
	const newer = await newCa();
	await taken("weir.client-ca", () => replace(tls.gateway.clientCaFile ?? "", newer.certificate));
	t.match(await asked(tls.ca), /ERR_SSL|ECONNRESET/, "who was trusted until now");
	t.match(await asked(newer), /^([0-9A-F]{2}:){31}/);
	t.equal(await listenersMade(), made, "the listener is the one before");
});

t.test("files that cannot be read are told, and others' changes go on", async (t) => {
	const upstream = await startVariantServer("v1");
	t.teardown(() => upstream.close());
	const tls = await mutualTls(t);
	const resources = (certificateFile: string, host: string) =>
		resourceSet({
			gateways: [gateway({ tls: { ...tls.gateway, certificateFile } })],
			services: [service("shop", [variant("v1", upstream.port)], { hosts: [host] })],
		});
	const { certificateFile } = tls.gateway;
	const { envoy, server, publish } = await planScene(t, resources(certificateFile, "a.test"));
	const refused = new Promise<void>((resolve) =>
		server.onProxiesChanged(() => {
			if (server.mayBeClosed().size > 0) t.fail("no Service is closed for it");
			const [{ types } = { types: undefined }] = server.proxies();
			if (types?.secrets?.state === "ERROR" && types.routes?.state === "SYNCED") resolve();
		}),
	);
	void publish(resources(`${certificateFile}.gone`, "b.test"));
	await refused;
	const { error = "", source = "" } = server.proxies()[0]?.types.secrets ?? {};
	t.equal(source, "Gateway edge");
	t.not(error, "");
	const session = await tls.http2(envoy.port("edge"), "web");
	const stream = session.request({ ":authority": "b.test", ":path": "/" });
	const [head] = await once(stream, "response");
	t.equal(head[":status"], 200, "by the last good certificate");
	await publish(resources(certificateFile, "b.test"));
});
