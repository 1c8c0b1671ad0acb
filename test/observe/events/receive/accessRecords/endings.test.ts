/** Records of the access record log for requests that no access rule refused, as a real Envoy ends them. */
import { connect as connectHttp2 } from "node:http2";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import { GUARDS } from "../../../../../src/compile/access/bypass/probe.js";
import { PROBE_PATH } from "../../../../../src/compile/access/requests/canonical.js";
import { sendProbe } from "../../../../../src/observe/agent/sendProbe.js";
import type {
	AccessRecordsAnswer,
	ShownAccessRecord,
} from "../../../../../src/observe/events/query/accessRecordQuery.js";
import { bootstrapOf, startEnvoy } from "../../../../envoy/harness.js";
import { inThisTier } from "../../../../envoy/tierVersions.js";
import { accessPolicy, PATIENT, resourceSet, service, variant } from "../../../../fixtures/resources.js";
import { startUpstream } from "../../../../fixtures/upstream.js";
import { seriesKey, startLiveRig } from "../../rig.js";

t.setTimeout(120_000);

const lines = (host: string, path: string, ...more: readonly string[]): string =>
	[`GET ${path} HTTP/1.1`, `Host: ${host}.test`, ...more, "", ""].join("\r\n");

for (const version of inThisTier(["1.40.0", "1.36.2"]))
	t.test(`Envoy ${version}: each ending has its word`, { timeout: 90_000 }, async (t) => {
		const port = await startUpstream(t, ({ url }, response) => {
			if (url !== "/ok/hang") response.end("ok");
		});
		const { rig, planOf, collectors } = await startLiveRig(t, { allowedRecordsPpm: 1_000_000 });
		const hung = createServer();
		const sidecar = join(rig.directory, "hung.sock");
		await new Promise<void>((resolve) => hung.listen(sidecar, resolve));
		t.teardown(() => void hung.close());
		const guarded = { access: null } as const;
		const plan = planOf(
			resourceSet({
				services: [
					service("free", [variant("v1", port)]),
					service("guarded", [variant("v1", port)], guarded),
					service("shut", [variant("v1", port)], guarded),
					service("empty", [variant("v1")], guarded),
					service("down", [variant("v1", 1)], guarded),
					service("asked", [variant("v1", port)], { ...guarded, callout: { ...PATIENT, access: "sidecar" } }),
				],
				accessPolicies: [
					accessPolicy("ok", "allow", ["guarded", "shut", "empty", "down", "asked"], {
						principals: ["anyone"],
						pathPrefixes: ["/ok"],
					}),
				],
			}),
			{ closed: new Set(["shut"]) },
		);
		const envoy = await startEnvoy(t, bootstrapOf(plan, collectors, sidecar), { version });
		/** What came within the time; the client leaves then. */
		const send = (text: string, waitMs = 400): Promise<string> =>
			new Promise((resolve) => {
				let answer = "";
				const socket = connect(envoy.port(), "127.0.0.1", () => socket.write(text));
				socket.on("data", (bytes) => {
					answer += bytes.toString("latin1");
				});
				socket.on("error", () => undefined);
				setTimeout(() => {
					socket.destroy();
					resolve(answer);
				}, waitMs);
			});
		const began = Date.now();
		for (const [text, status] of [
			[lines("guarded", "/ok/served"), "200"],
			[lines("guarded", "/no"), "403"],
			[lines("free", "/free"), "200"],
			[lines("empty", "/ok/empty"), "503"],
			[lines("down", "/ok/down"), "503"],
			[lines("guarded", "/ok/hang"), ""],
			[lines("guarded", "/ok/upgrade", "Upgrade: websocket", "Connection: Upgrade"), "403"],
			[lines("shut", "/ok/shut"), "503"],
			[lines("asked", "/ok/asked"), ""],
			[lines("guarded", "/ok/underscore", "x_user: 1"), "400"],
			[lines("guarded", "/ok/both", "Transfer-Encoding: chunked", "Content-Length: 3"), "400"],
			[lines("guarded", "/ok/large", `x-large: ${"x".repeat(100_000)}`), "431"],
			[lines("guarded", "/ok/query").replace("GET", "QUERY"), "400"],
			[lines("guarded", "/a%2Fb"), "400"],
			[lines("guarded", "/cut#x"), "400"],
			[lines("guarded", "/ok/low").replace("HTTP/1.1", "HTTP/1.0"), "426"],
			[`${lines("guarded", "/ok/chunk", "Transfer-Encoding: chunked").replace("GET", "POST")}zz\r\n`, "200|400"],
		] as const)
			t.match((await send(text)).slice(9, 12), new RegExp(`^(?:${status})$`), text.slice(0, 60));
		const upgrade = lines("guarded", "/ok/upgrade", "Upgrade: websocket", "Connection: Upgrade");
		t.match(await send(upgrade), /\r\n\r\naccess denied: upgrade-refused\n$/);
		const at = { address: "127.0.0.1", port: envoy.port() };
		for (const [name, reason] of [
			["guarded", "forbidden"],
			["shut", "configuration-refused"],
		] as const) {
			for (const guard of GUARDS) {
				const answer = await sendProbe(at, null, `${name}.test`, guard);
				if (guard === "rules") t.match(answer.body, reason);
			}
		}
		// The least JWT with a signature of ES256 is longer.
		const asProbe = lines("guarded", PROBE_PATH, `Authorization: Bearer ${"x".repeat(130)}`).replace("GET", "OPTIONS");
		t.equal((await send(asProbe)).slice(9, 12), "403");
		const session = connectHttp2(`http://127.0.0.1:${envoy.port()}`);
		session.on("error", () => undefined);
		const star = session.request({ ":method": "OPTIONS", ":path": "*", ":authority": "guarded.test" });
		await new Promise<void>((resolve) => star.on("error", () => resolve()).on("response", () => resolve()));
		session.destroy();
		const told = async (): Promise<readonly ShownAccessRecord[]> =>
			((await rig.call("GET", "/v1/requests?limit=1000", "")).json as AccessRecordsAnswer).decisions;
		let all = await told();
		for (let tries = 0; all.length < 20 && tries < 60; tries++) {
			await new Promise((resolve) => setTimeout(resolve, 250));
			all = await told();
		}
		t.comment(`${all.length} in ${Date.now() - began} ms`);
		const shown = all.map(({ path, status, kind, verdict, reason, by }) =>
			[path, status, kind, verdict, reason, by].join(" "),
		);
		const probes = rig.meter.counts.get(seriesKey("weir_ingest_probes_refused_total", { by: "envoy" }));
		t.equal(probes, 4, "our own probe leaves no record");
		t.same(shown.sort(), [
			// Underscore, two lengths, HTTP/1.0, too large, and QUERY, which older Envoys do not know.
			" 400 denied deny not-canonical envoy",
			...(version === "1.40.0" ? [] : [" 400 denied deny not-canonical envoy"]),
			" 400 denied deny not-canonical envoy",
			" 426 denied deny not-canonical envoy",
			" 431 denied deny not-canonical envoy",
			"* 404 denied deny not-canonical envoy",
			"/.well-known/weir-probe 403 denied deny forbidden envoy",
			// As Envoy's log has the path.
			"/a/b 400 denied deny not-canonical envoy",
			"/cut 400 denied deny not-canonical envoy",
			"/free 200 allowed allow open envoy",
			"/no 403 denied deny no-policy-allows envoy",
			"/ok/asked  unjudged  client-left envoy",
			// Sent on by then.
			"/ok/chunk 400 allowed allow allowed envoy",
			"/ok/down 503 allowed allow allowed envoy",
			"/ok/empty 503 allowed allow allowed envoy",
			"/ok/hang  allowed allow allowed envoy",
			...(version === "1.40.0" ? ["/ok/query 400 denied deny not-canonical envoy"] : []),
			"/ok/served 200 allowed allow allowed envoy",
			"/ok/shut 503 denied deny configuration-refused envoy",
			"/ok/upgrade 403 denied deny upgrade-refused envoy",
			"/ok/upgrade 403 denied deny upgrade-refused envoy",
		]);
	});
