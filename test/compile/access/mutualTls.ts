/**
 * A Gateway with mTLS for tests: certificates of a development CA in a temporary directory, and raw TLS clients
 * with one identity or none.
 */
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type ClientHttp2Session, connect as connectHttp2, type Settings } from "node:http2";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import type { GatewayFiles } from "../../../src/declare/resources/resource.js";
import { createDevelopmentCa, type DevelopmentCa, type IssuedCertificate } from "../../trust/identity/developmentCa.js";

export const TRUST_DOMAIN = "weir.test";
export const spiffe = (name: string): string => `spiffe://${TRUST_DOMAIN}/${name}`;

export interface MutualTls {
	readonly ca: DevelopmentCa;
	readonly gateway: GatewayFiles;
	/** A client with that SPIFFE id, as a target for pipelined(). */
	client(port: number, name: string): Promise<() => Promise<Socket>>;
	/** A client with any certificate, or none. */
	clientWith(port: number, certificate: IssuedCertificate | null): () => Promise<Socket>;
	/** An HTTP/2 client with that SPIFFE id. */
	http2(port: number, name: string, settings?: Settings): Promise<ClientHttp2Session>;
}

/** @param clientCa false = the Gateway asks for no client certificate */
export async function mutualTls(t: { teardown(run: () => Promise<void>): unknown }): Promise<MutualTls> {
	const directory = await mkdtemp(join(tmpdir(), "weir-tls-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const ca = await createDevelopmentCa({ trustDomain: TRUST_DOMAIN, nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const server = await ca.issue({ spiffeId: spiffe("gateway"), dnsNames: ["gateway.test"] });
	const file = async (name: string, text: string): Promise<string> => {
		const path = join(directory, name);
		await writeFile(path, text, { mode: 0o600 });
		return path;
	};
	const clientWith = (port: number, own: IssuedCertificate | null) => async (): Promise<Socket> => {
		const socket = connect({
			port,
			host: "127.0.0.1",
			servername: "gateway.test",
			ca: ca.certificate,
			...(own === null ? {} : { cert: own.certificate, key: own.privateKey }),
		});
		await once(socket, "secureConnect");
		return socket;
	};
	return {
		ca,
		gateway: {
			from: "files",
			certificateFile: await file("server.pem", server.certificate),
			privateKeyFile: await file("server.key", server.privateKey),
			clientCaFile: await file("ca.pem", ca.certificate),
		},
		client: async (port, name) => clientWith(port, await ca.issue({ spiffeId: spiffe(name) })),
		clientWith,
		async http2(port, name, settings = {}) {
			const own = await ca.issue({ spiffeId: spiffe(name) });
			const session = connectHttp2(`https://127.0.0.1:${port}`, {
				ca: ca.certificate,
				cert: own.certificate,
				key: own.privateKey,
				servername: "gateway.test",
				ALPNProtocols: ["h2"],
				settings,
			});
			t.teardown(async () => session.destroy());
			return session;
		},
	};
}
