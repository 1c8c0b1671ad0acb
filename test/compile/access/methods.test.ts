/**
 * Methods that a policy may name, on a real Envoy: over HTTP/1.1 its codec forwards only a fixed list, over HTTP/2 any. So
 * clients can use every method except the three that are always refused (access/requests/canonical.ts).
 */
import { once } from "node:events";
import t from "tap";
import { attackScene } from "../../attack/scene.js";
import { exchange, get } from "../../attack/wire.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";

t.setTimeout(60_000);

const LISTED = ["GET", "PURGE", "PROPFIND", "MKCALENDAR", "UNSUBSCRIBE"];
const BY_HTTP2_ALONE = ["M-SEARCH", "VERSION-CONTROL", "LIST"];

// Node's own server takes no method that it does not know.
const upstream = await startVariantServer("v1");
t.teardown(() => upstream.close());

for (const version of ["1.40.0", "1.36.2"]) {
	t.test(`Envoy ${version} forwards each method that a policy may name`, async (t) => {
		const resources: Parameters<typeof attackScene>[2] = (_, tls) =>
			resourceSet({
				gateways: [gateway({ tls: tls.gateway })],
				services: [service("s", [variant("v1", upstream.port)], { access: null })],
				accessPolicies: [
					accessPolicy("named", "allow", ["s"], {
						principals: ["*"],
						methods: [...LISTED, ...BY_HTTP2_ALONE, "TRACE"],
					}),
				],
			});
		const scene = await attackScene(t, "native", resources, undefined, undefined, version);
		const session = await scene.tls.http2(scene.envoy.port(), "alice");
		t.teardown(() => session.destroy());
		const byHttp1 = async (method: string) =>
			(await exchange(await scene.as("alice"), get("s.test", "/", [], method))).statuses[0];
		const byHttp2 = async (method: string) => {
			const head = { ":method": method, ":scheme": "https", ":authority": "s.test", ":path": "/" };
			const stream = session.request(head, { endStream: true });
			const [response] = await once(stream, "response");
			stream.close();
			return response[":status"];
		};
		for (const method of LISTED) t.same([await byHttp1(method), await byHttp2(method)], [200, 200], method);
		for (const method of BY_HTTP2_ALONE) t.same([await byHttp1(method), await byHttp2(method)], [400, 200], method);
		t.same([await byHttp1("TRACE"), await byHttp2("TRACE")], [403, 403], "with any policy");
		t.equal(await byHttp2("COPY"), 403, "the rule decides");
	});
}
