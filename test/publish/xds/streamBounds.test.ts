/** The cost and the number of streams on one TCP connection to xds. */

import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect as connectTls } from "node:tls";
import t, { type Test } from "tap";
import { XDS_STREAMS_OF_CONNECTION_MAX } from "../../../src/publish/xds/grpcListeners.js";
import { resetAtOnce } from "../../trust/tls/http2Flood.js";
import { id } from "./identityOf.js";
import { start } from "./tlsScene.js";

const PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

async function scene(t: Test) {
	let read = 0;
	const { ca, target, refused, ids } = await start(t, {}, (own) => ({
		...own,
		idOf: (certificate) => {
			read++;
			return own.idOf(certificate);
		},
	}));
	const own = await ca.issue({ spiffeId: id("weir/envoy/edge") });
	const tls = {
		...{ host: "127.0.0.1", port: Number(target.split(":")[1]), checkServerIdentity: () => undefined },
		...{ cert: own.certificate, key: own.privateKey, ca: ca.certificate },
	};
	const connect = (): ClientHttp2Session => {
		const session = connectHttp2("https://xds", {
			createConnection: () => connectTls({ ...tls, ALPNProtocols: ["h2"] }),
		});
		t.teardown(() => session.destroy());
		return session;
	};
	return { tls, connect, refused, ids, read: () => read };
}

t.test("a certificate is read once for all streams, and their number is reported", async (t) => {
	const { connect, read } = await scene(t);
	const session = connect();
	const [settings] = await once(session, "remoteSettings");
	t.equal(settings.maxConcurrentStreams, XDS_STREAMS_OF_CONNECTION_MAX);
	const ask = async (): Promise<void> => {
		const stream = session.request({
			...{ ":method": "POST", ":path": PATH },
			...{ "content-type": "application/grpc", te: "trailers" },
		});
		// Without a node it is refused.
		stream.end(Buffer.alloc(5));
		await once(stream.resume(), "close");
	};
	await ask();
	const first = read();
	for (let index = 0; index < 5; index++) await ask();
	t.equal(read(), first);
});

t.test("a connection that opens hundreds of streams at once is closed, and its id logged", async (t) => {
	const { tls, refused, ids } = await scene(t);
	await resetAtOnce(900, PATH, tls);
	t.ok(refused.length > 0);
	t.same([refused.at(-1), ids.at(-1)], ["too-many", id("weir/envoy/edge")]);
});
