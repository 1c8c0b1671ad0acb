/**
 * Request trailers arrive after the verdict (RFC 9110 6.5.1): Envoy removes those that could pass for a judged header, and
 * forwards the Service's own.
 */
import { once } from "node:events";
import t from "tap";
import { OVERRIDE_HEADERS } from "../../src/compile/access/requests/canonical.js";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import { decodeEnvoyResource } from "../../src/publish/xds/registry.js";
import { mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { bootstrapOf, startEnvoy } from "../envoy/harness.js";
import { accessPolicy, experiment, gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import { startUpstream } from "../fixtures/upstream.js";
import { exchange, latin1 } from "./wire.js";

const FORGED: Readonly<Record<string, string>> = {
	"x-weir-decision": "forged",
	"x-weir-variant": "v2",
	"x-weir-arm": "e/b",
	"x-forwarded-client-cert": "URI=spiffe://weir.test/admin",
	"x-forwarded-for": "10.0.0.1",
	"x-forwarded-host": "admin.test",
	"x-original-host": "admin.test",
	"x-host": "admin.test",
	forwarded: "for=10.0.0.1",
	...Object.fromEntries(
		["x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"].map((name) => [name, "10.0.0.1"]),
	),
	via: "1.1 inside",
	cookie: "weir_id=stolen",
	"x-user-id": "someone-else",
	authorization: "Bearer x",
	dpop: "a.b.c",
	"x-envoy-original-path": "/admin",
	...Object.fromEntries(OVERRIDE_HEADERS.map((name) => [name, "DELETE"])),
};
/** That HTTP/2 takes as trailers, and no trailer may be (RFC 9110 6.5.1). */
const CONTROLS: Readonly<Record<string, string>> = {
	"content-type": "text/html",
	"content-encoding": "gzip",
	"content-range": "bytes 0-1/2",
	"content-location": "/admin",
	"cache-control": "no-cache",
	pragma: "no-cache",
	expect: "100-continue",
	"max-forwards": "1",
	range: "bytes=0-1",
	"if-match": "*",
	"if-none-match": "*",
	"if-modified-since": "Sat, 28 Nov 2026 00:00:00 GMT",
	"if-unmodified-since": "Sat, 28 Nov 2026 00:00:00 GMT",
	"if-range": "x",
	"proxy-authorization": "Basic x",
	"set-cookie": "sid=stolen",
	trailer: "x",
};
/** That HTTP/2 forbids there, or Envoy takes for the message's own. */
const FRAMING: Readonly<Record<string, string>> = {
	host: "admin.test",
	"transfer-encoding": "chunked",
	"content-length": "1",
	connection: "keep-alive",
	"proxy-connection": "keep-alive",
	"keep-alive": "timeout=5",
	upgrade: "websocket",
	te: "trailers",
};
const OWN = { "x-sum": "7", "grpc-status": "0", "content-digest": "sha-256=:aa==:" };
/** In every spelling that a server may take for ours. */
const WEIRS: Readonly<Record<string, string>> = {
	"x-weir-decision": "forged",
	"x-weir-arm": "e/b",
	"x-weir-claim-sub": "ann",
	x_weir_arm: "e/b",
	"x-weir_param-size": "9",
	"x_weir-variant": "v2",
};

const FORMS = {
	"a protected Gateway": { guarded: true, forged: { ...FORGED, ...CONTROLS }, own: OWN },
	"an open Gateway": { guarded: false, forged: WEIRS, own: { ...OWN, "x-real-ip": "10.0.0.1", cookie: "a=b" } },
};

for (const version of ["1.40.0", "1.36.2"]) {
	for (const [form, { guarded, forged, own }] of Object.entries(FORMS))
		t.test(`Envoy ${version}, ${form}: forged trailers are removed, the others forwarded`, async (t) => {
			const tls = await mutualTls(t);
			const seen: string[][] = [];
			const upstream = await startUpstream(t, (request, response) => {
				request.resume().on("end", () => {
					seen.push(request.rawTrailers.map((text) => text.toLowerCase()));
					response.end("ok");
				});
			});
			const plan = compile(
				resourceSet({
					gateways: [gateway({ tls: tls.gateway })],
					services: [
						service("guarded", [variant("v1", upstream), variant("v2", upstream)], guarded ? { access: null } : {}),
					],
					experiments: [experiment("e", "guarded", [1, 1], { stepsPpm: [1_000_000] })],
					accessPolicies: guarded ? [accessPolicy("all", "allow", ["guarded"], { principals: [spiffe("alice")] })] : [],
				}),
				EMPTY_STATUS,
				{ collectors: NO_COLLECTORS },
			);
			for (const one of plan.envoy.listeners) t.ok(decodeEnvoyResource(one), "control can publish it");
			const envoy = await startEnvoy(t, bootstrapOf(plan), { version });
			const trailers = { ...forged, ...own };
			// HTTP/2 forbids it there.
			const overHttp1 = guarded ? { ...trailers, ...FRAMING } : trailers;
			const one = await (await tls.client(envoy.port(), "alice"))();
			const lines = Object.entries(overHttp1).map(([name, value]) => `${name.toUpperCase()}: ${value}\r\n`);
			const { statuses } = await exchange(
				one,
				latin1(
					`POST /x HTTP/1.1\r\nHost: guarded.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n${lines.join("")}\r\n`,
				),
			);
			t.same(statuses, [200]);
			const session = await tls.http2(envoy.port(), "alice");
			const stream = session.request(
				{ ":method": "POST", ":path": "/x", ":scheme": "https", ":authority": "guarded.test" },
				{ waitForTrailers: true },
			);
			stream.on("wantTrailers", () => stream.sendTrailers(trailers));
			const answered = once(stream, "response");
			stream.end("a");
			t.equal((await answered)[0][":status"], 200);
			const wanted = Object.entries(own).flat();
			t.same(seen, [wanted, wanted]);
		});
}
