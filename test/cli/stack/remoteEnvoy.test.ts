/**
 * An Envoy on another machine: xDS and the access log by mTLS. Another identity, or another Gateway than its own, is refused and
 * counted.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import t from "tap";
import { ownIdentity } from "../../../src/cli/stack/identity.js";
import { grpcChannelCredentials } from "../../../src/trust/identity/grpcTls.js";
import { answerOf } from "../../fixtures/answerOf.js";
import { AdsClient } from "../../publish/xds/adsClient.js";
import { startBackend } from "../backend.js";
import { askApi, fileOf, MAIN, temporaryDirectory, weir } from "../command.js";
import { gatewayText, openService, policyText, serviceText } from "../documents.js";
import { part } from "../part.js";

t.setTimeout(240_000);

const statusOf = async (port: number | undefined, path: string): Promise<number> =>
	(await answerOf({ port, path })).status;

t.test("an Envoy that shares only the authority with control is served", async (t) => {
	const directory = await temporaryDirectory(t);
	const port = await startBackend(t);
	const [data, far] = [`${directory}/control`, `${directory}/far`];
	await part(t, [
		...["ca", "--data", `${directory}/ca`],
		...["control", "edge", "other", "rogue"].flatMap((name) => [
			"--workload",
			`${name}=/weir/${name === "control" ? "control" : `envoy/${name}`}`,
		]),
	]);
	const socketOf = (name: string) => `${directory}/ca/run/identity/${name}.sock`;
	const api = `unix:${data}/run/api.sock`;
	const own = ["spiffe://weir.local/weir/envoy/edge=edge", "spiffe://weir.local/weir/envoy/other=inner"];
	const envoyGateways = own.flatMap((gateways) => ["--envoy-gateways", gateways]);
	const ofControl = ["--data", data, "--identity", socketOf("control"), ...envoyGateways];
	const ingest = await part(t, ["ingest", ...ofControl, "--access-log-listen", "127.0.0.1:0"]);
	const { accessLogPort } = ingest.ready as { accessLogPort: number };
	const control = await part(t, [
		...["control", ...ofControl, "--xds-listen", "127.0.0.1:0"],
		...["--access-log-listen", `127.0.0.1:${accessLogPort}`],
	]);
	const { xds } = control.ready as { xds: { port: number } };
	const file = await fileOf(
		directory,
		"weir.yaml",
		[gatewayText(), gatewayText("port: 0", "inner"), openService("shop", [port])].join("---\n"),
	);
	const applied = await weir(["apply", "-f", file, "--api", api]);
	t.equal(applied.code, 0, applied.stderr);
	const envoyArgs = (name: string, node: string) => [
		...["envoy", "--data", `${far}-${name}`, "--node", node, "--identity", socketOf(name)],
		...["--control", `127.0.0.1:${xds.port}`, "--access-log", `127.0.0.1:${accessLogPort}`],
		...["--control-id", "spiffe://weir.local/weir/control"],
	];
	const metric = async (name: string): Promise<string> =>
		(await askApi(api, "/metrics")).text.split("\n").find((line) => line.startsWith(name)) ?? "";
	const until = async (name: string): Promise<void> => {
		while (!/ [1-9]\d*$/.test(await metric(name))) await pause(100); // metrics have no event to wait for
	};

	const edge = await part(t, envoyArgs("edge", "edge"));
	const { ports } = edge.ready as { ports: Record<string, number> };
	t.same(Object.keys(ports), ["edge"], "its own Gateway and no other");
	t.equal(await statusOf(ports.edge, "/"), 200);
	await until("weir_ingest_access_log_entries_total");
	t.equal(await metric("weir_xds_streams_refused_total"), "");

	const rogueIdentity = await ownIdentity(socketOf("rogue"));
	const rogue = new AdsClient(
		`127.0.0.1:${xds.port}`,
		grpcChannelCredentials(rogueIdentity, (server) => server === "spiffe://weir.local/weir/control"),
	);
	t.teardown(() => {
		rogue.close();
		rogueIdentity.close();
	});
	rogue.ask("listeners", [], undefined, { node: "rogue" });
	t.match(await rogue.ended, { code: 7, details: /no Gateway/ }, "an Envoy that is not named has no Gateway");
	while (!(await askApi(api, "/v1/audit?chain=refused&after=0&limit=100")).text.includes("/weir/envoy/rogue"))
		await pause(100);
	const { records } = JSON.parse((await askApi(api, "/v1/audit?chain=refused&after=0&limit=100")).text) as {
		records: readonly { readonly result: string }[];
	};
	t.match(
		records.filter(({ result }) => result === "refused"),
		[{ subject: "spiffe://weir.local/weir/envoy/rogue", how: "mtls", verb: "connect", why: "no-gateway" }],
	);

	for (const port of [xds.port, accessLogPort])
		for (let times = 0; times < 3; times++) {
			const anonymous = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] });
			anonymous.on("error", () => {});
			await new Promise((resolve) => anonymous.resume().once("close", resolve));
		}
	for (const listener of ["xds", "access-log"]) {
		const counted = new RegExp(
			`^weir_handshakes_refused_total\\{[^}]*listener="${listener}",reason="no-certificate"\\} 3$`,
			"m",
		);
		while (!counted.test((await askApi(api, "/metrics")).text)) await pause(100);
	}
	const audited = async () =>
		JSON.parse((await askApi(api, "/v1/audit?chain=refused&after=0&limit=100")).text).records.filter(
			({ why }: { why: string }) => why.startsWith("no-certificate"),
		);
	while ((await audited()).length === 0) await pause(100);
	t.match(await audited(), [{ subject: null, verb: "connect", objects: ["xds"], why: "no-certificate" }], "once");
	const streams = JSON.parse((await askApi(api, "/v1/requests?reason=no-certificate")).text).decisions;
	t.match(streams, [{ kind: "stream-refused", verdict: "deny", principal: null, count: 1 }], "once");

	const impostor = spawn(process.execPath, [MAIN, ...envoyArgs("other", "edge")], { stdio: "ignore" });
	const impostorEnded = once(impostor, "exit");
	t.teardown(async () => {
		if (impostor.kill("SIGKILL")) await impostorEnded;
	});
	while (!/^weir_xds_streams_refused_total\{[^}]*reason="another-node"/m.test((await askApi(api, "/metrics")).text))
		await pause(100);
	const started = Number(await readFile(`${far}-other/run/envoy.pid`, "utf8"));
	t.doesNotThrow(() => process.kill(started, 0), "it waits for a listener that it will not get");
	impostor.kill("SIGTERM");
	await impostorEnded;
	t.throws(() => process.kill(started, 0), { code: "ESRCH" }, "an Envoy that is still starting ends with weir envoy");
});

/** The commands of docs/operations.md, without the name of the program. */
async function printedCommands(): Promise<ReadonlyMap<string, readonly string[]>> {
	const text = await readFile(new URL("../../../../docs/operations.md", import.meta.url), "utf8");
	const block = /## An Envoy on another machine\n.*?```sh\n([^`]*)```/s.exec(text)?.[1] ?? "";
	const lines = block.replaceAll("\\\n", " ").split("\n");
	return new Map(
		lines
			.filter((line) => line.startsWith("weir "))
			.map((line) => [`${line.split(" ")[1]}`, line.split(/\s+/).slice(1)]),
	);
}

t.test("with the commands of docs/operations.md a remote sidecar judges, and denials are recorded", async (t) => {
	const directory = await temporaryDirectory(t);
	const backend = await startBackend(t);
	const [here, there] = [`${directory}/here`, `${directory}/there`];
	for (const machine of [here, there]) await mkdir(machine);
	const ids = { control: "/weir/control", envoy: "/weir/envoy/edge", sidecar: "/weir/sidecar/edge" };
	const workloads = Object.entries(ids).flatMap(([name, path]) => ["--workload", `${name}=${path}`]);
	await part(t, ["ca", "--data", `${directory}/ca`, ...workloads]);
	const printed = await printedCommands();
	t.same([...printed.keys()], ["ingest", "control", "sidecar", "envoy"]);
	/** The options of the page, with the addresses and sockets of this test. */
	const run = (name: string, machine: string, ports: { readonly xds: number; readonly accessLog: number }) => {
		const args = (printed.get(name) ?? []).map((word) =>
			word
				.replace("/run/spire/agent.sock", `${directory}/ca/run/identity/${name === "ingest" ? "control" : name}.sock`)
				.replace("10.0.0.1:18000", `127.0.0.1:${ports.xds}`)
				.replace("10.0.0.1:18001", `127.0.0.1:${ports.accessLog}`),
		);
		return part(t, args, machine);
	};
	const ingest = await run("ingest", here, { xds: 0, accessLog: 0 });
	const { accessLogPort } = ingest.ready as { accessLogPort: number };
	const control = await run("control", here, { xds: 0, accessLog: accessLogPort });
	const { xds } = control.ready as { xds: { port: number } };
	const api = `unix:${here}/.weir/run/api.sock`;
	const file = await fileOf(
		directory,
		"weir.yaml",
		[
			gatewayText(),
			serviceText("shop", [backend], "", "127.0.0.1"),
			policyText("readers", "shop", `principals: [anyone], condition: 'request.path.startsWith("/open/")'`),
		].join("---\n"),
	);
	const applied = await weir(["apply", "-f", file, "--api", api]);
	t.equal(applied.code, 0, applied.stderr);

	const controlPorts = { xds: xds.port, accessLog: accessLogPort };
	const envoy = await run("envoy", there, controlPorts);
	const { ports } = envoy.ready as { ports: Record<string, number> };
	const probed = async () => {
		const { code, stdout } = await weir(["probe", "--api", api]);
		return [code, stdout.toString()] as const;
	};
	t.equal(await statusOf(ports.edge, "/open/a"), 503, "no sidecar gives a verdict");
	const unanswered =
		/^unanswered {2}Envoy edge {2}Gateway edge {2}Service shop {2}gate: 403 not-canonical, rules: 503\n$/;
	t.match(await probed(), [1, unanswered]);
	const sidecar = await run("sidecar", there, controlPorts);
	t.type(sidecar.ready.plan, "string", "control's table is there");
	// Envoy's cluster may wait a moment before it tries the socket again.
	while ((await statusOf(ports.edge, "/open/a")) === 503) await pause(100);
	t.equal(await statusOf(ports.edge, "/open/a"), 200);
	t.equal(await statusOf(ports.edge, "/closed/a"), 403);
	const records = async () => (await weir(["audit", "requests", "--api", api])).stdout.toString();
	while (!/DENIED.*\/closed\/a/.test(await records())) await pause(100);
	t.match(await records(), /DENIED.*\/closed\/a/);
	t.notMatch(sidecar.log(), /Warning/);

	t.match(await probed(), [0, "denied      Envoy edge  Gateway edge  Service shop\n"]);
	t.notMatch((await weir(["status", "--api", api])).stdout.toString(), /probe-failed/);
	// A probe by hand: no weir envoy runs here.
	const probe = { port: ports.edge, method: "OPTIONS", path: "/.well-known/weir-probe" };
	t.match(await answerOf(probe), { status: 403, text: /forbidden/ });
	const overridden = { ...probe, headers: { "x-http-method-override": "OPTIONS" } };
	t.match(await answerOf(overridden), { status: 403, text: /not-canonical/ });
	const admin = `${there}/.weir/run/envoy.sock`;
	t.match(await answerOf({ socketPath: admin, path: "/listeners" }), { status: 200, text: /^[^\n]*edge[^\n]*\n?$/ });
	const dropped = { socketPath: admin, path: "/stats?filter=logs_dropped" };
	t.match(await answerOf(dropped), { status: 200, text: /logs_dropped: 0\n$/ });
});
