/** A real xDS server on TCP with mTLS, and clients by the path of their SPIFFE ids. */
import type { ChannelCredentials } from "@grpc/grpc-js";
import type { Test } from "tap";
import { XdsServer, type XdsServerOptions } from "../../../src/publish/xds/server.js";
import { grpcChannelCredentials, grpcPeerSpiffeId } from "../../../src/trust/identity/grpcTls.js";
import { admitPeers, mutualTls } from "../../../src/trust/identity/nodeTls.js";
import type { Identity } from "../../../src/trust/identity/svid.js";
import { createDevelopmentCa } from "../../trust/identity/developmentCa.js";
import { AdsClient } from "./adsClient.js";
import { DOMAIN, id, identityOf } from "./identityOf.js";
import { published, tinyPlan } from "./tinyPlan.js";

export const TINY = published(
	tinyPlan({ gatewayPort: 8080, services: { a: { host: "a", variants: { v1: 1001 }, weights: { v1: 1 } } } }),
);

/** @param seen the server's identity */
export async function start(t: Test, options: XdsServerOptions = {}, seen = (own: Identity): Identity => own) {
	const make = (trustDomain: string) => createDevelopmentCa({ trustDomain, nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const ca = await make(DOMAIN);
	const control = seen(await identityOf(ca, id("weir/control")));
	const refused: string[] = [];
	const ids: (string | null)[] = [];
	const server = new XdsServer({
		secure: {
			tls: mutualTls(control),
			admitPeers: (server, admit, refused) => admitPeers(server, control, admit, (_, id) => refused(id)),
			idOf: (call) => grpcPeerSpiffeId(call, control),
		},
		gatewaysOf: () => null,
		onRefused: (reason, id) => {
			refused.push(reason);
			ids.push(id);
		},
		...options,
	});
	const address = await server.listen({ host: "127.0.0.1", port: 0 });
	const target = "port" in address ? `127.0.0.1:${address.port}` : "";
	const clients: AdsClient[] = [];
	t.teardown(async () => {
		for (const client of clients) client.close();
		await server.close();
	});
	const connectWith = (channel: ChannelCredentials): AdsClient => {
		const client = new AdsClient(target, channel);
		clients.push(client);
		return client;
	};
	const channel = async (path: string): Promise<ChannelCredentials> =>
		grpcChannelCredentials(await identityOf(ca, id(path)), (server) => server === id("weir/control"));
	const connect = async (path: string): Promise<AdsClient> => connectWith(await channel(path));
	return { ca, make, server, target, refused, ids, channel, connect, connectWith };
}
