/**
 * The built-in probe at Envoys of other machines: through the stream that their `weir envoy` opens to control each Gateway is
 * probed and its counters are watched; what gets past the rules at one of them alone is an alarm with its name.
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { type ClientDuplexStream, makeClientConstructor, type ServiceError } from "@grpc/grpc-js";
import t, { type Test } from "tap";
import type { ProbeReport } from "../../src/cli/roles/probeReport.js";
import { ownIdentity } from "../../src/cli/stack/identity.js";
import type { Attended, Question } from "../../src/gen/weir/probe/v1/attendance_pb.js";
import { grpcChannelCredentials } from "../../src/identity/grpcTls.js";
import { AttendanceServiceDefinition, writeSaid } from "../../src/xds/attendance/service.js";
import { envoyBinary } from "../envoy/harness.js";
import { freePort } from "../identity/mesh.js";
import { startBackend } from "./backend.js";
import { askApi, fileOf, temporaryDirectory, weir } from "./command.js";
import { part } from "./part.js";

t.setTimeout(300_000);

const ENVOYS = ["east", "west"];
const Client = makeClientConstructor(AttendanceServiceDefinition, "Attendance");

/** Control, and nothing else: its Envoys come from elsewhere. Gateway `edge` is at both. */
async function scene(t: Test, tls = "") {
	const directory = await temporaryDirectory(t);
	const backend = await startBackend(t);
	const data = `${directory}/control`;
	const paths = {
		control: "/weir/control",
		...Object.fromEntries(ENVOYS.map((name) => [name, `/weir/envoy/${name}`])),
	};
	Object.assign(paths, { sidecar: "/weir/sidecar" });
	const workloads = Object.entries(paths).flatMap(([name, path]) => ["--workload", `${name}=${path}`]);
	await part(t, ["ca", "--data", `${directory}/ca`, ...workloads]);
	const socketOf = (name: string) => `${directory}/ca/run/identity/${name}.sock`;
	const api = `unix:${data}/run/api.sock`;
	await part(t, ["control", "--roles", "api", "--data", data]);
	const file = await fileOf(
		directory,
		"weir.yaml",
		`apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {port: 0${tls}}
---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: shop}
spec:
  hosts: [shop.test]
  defaultVariant: v1
  variants: [{name: v1, endpoints: [{address: 127.0.0.1, port: ${backend}}]}]
---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: readers}
spec: {services: [shop], principals: [anyone], pathPrefixes: [/open]}
`,
	);
	const applied = await weir(["apply", "-f", file, "--api", api]);
	if (applied.code !== 0) throw new Error(applied.stderr);
	const [xds, accessLog] = [await freePort(), await freePort()];
	const control = () =>
		part(t, [
			...["control", "--roles", "ingest,xds", "--data", data, "--identity", socketOf("control")],
			...["--xds-listen", `127.0.0.1:${xds}`, "--access-log-listen", `127.0.0.1:${accessLog}`],
			...ENVOYS.flatMap((name) => ["--envoy-gateways", `spiffe://weir.local/weir/envoy/${name}=edge`]),
		]);
	/** @param bin in place of Envoy's binary */
	const envoy = async (name: string, bin?: string) => {
		const args = [
			...["envoy", "--data", `${directory}/${name}`, "--node", name, "--identity", socketOf(name)],
			...["--control", `127.0.0.1:${xds}`, "--access-log", `127.0.0.1:${accessLog}`],
			...["--control-id", "spiffe://weir.local/weir/control"],
		];
		const running = await part(
			t,
			args,
			undefined,
			bin === undefined ? process.env : { ...process.env, ENVOY_BIN: bin },
		);
		return { ...running, port: (running.ready as { ports: Record<string, number> }).ports.edge ?? 0 };
	};
	/** Whoever comes by that identity and says that it is that Envoy's keeper; how it ended. */
	const attend = async (workload: string, node: string): Promise<ServiceError> => {
		const identity = await ownIdentity(socketOf(workload));
		const channel = grpcChannelCredentials(identity, (id) => id === "spiffe://weir.local/weir/control");
		const client = new Client(`127.0.0.1:${xds}`, channel, { "grpc.ssl_target_name_override": "control" });
		const call = client.attend?.() as ClientDuplexStream<Attended, Question>;
		call.resume().write(writeSaid({ kind: "hello", node, keeper: "1" }));
		const [error] = (await once(call, "error")) as [ServiceError];
		client.close();
		identity.close();
		return error;
	};
	const report = async (): Promise<ProbeReport | null> =>
		JSON.parse((await askApi(api, "/v1/probe", { headers: { "content-type": "application/json" }, body: "{}" })).text);
	/** The first round that is so; each is shared for some seconds. */
	const probed = async (condition: (report: ProbeReport) => boolean): Promise<ProbeReport> => {
		for (;;) {
			const made = await report();
			if (made !== null && condition(made)) return made;
			await pause(200);
		}
	};
	const lines = async (...args: readonly string[]) =>
		(await weir([...args, "--api", api])).stdout.toString().trim().split("\n");
	const metrics = async () => (await askApi(api, "/metrics")).text;
	return { directory, api, control, envoy, attend, probed, lines, metrics };
}

const end = async (child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> => {
	const exited = once(child, "exit");
	child.kill(signal);
	await exited;
};

const answered =
	(...envoys: readonly string[]) =>
	({ answers }: ProbeReport): boolean =>
		envoys.every((name) => answers.filter(({ envoy }) => envoy === name).length === 2);

t.test(
	"each Envoy of a Gateway is probed, and what gets past the rules at one of them is told of that one",
	async (t) => {
		const { directory, control, envoy, probed, lines, metrics } = await scene(t);
		const first = await control();
		const east = await envoy("east");
		await probed(answered("east"));
		t.same(await lines("probe"), [
			"ok     Gateway edge of Envoy east  Service shop  gate   403 not-canonical",
			"ok     Gateway edge of Envoy east  Service shop  rules  403 forbidden",
		]);
		t.notMatch((await lines("status")).join("\n"), /not probed|ALARM/);

		// A hand-made listener in its bootstrap, that leads to the Service's servers.
		const foreign = await freePort();
		const bin = await besides(directory, foreign);
		const west = await envoy("west", bin);
		const told = await probed((report) => report.foreign.length > 0 && answered("east", "west")(report));
		t.match(told.foreign, [{ alarm: "foreign-listener", listener: "mine", envoy: "west" }]);
		t.match((await lines("status")).join("\n"), /^ALARM foreign-listener of Envoy west: it has listeners/m);
		t.match(
			(await lines("probe")).join("\n"),
			new RegExp(`^ALARM  listener mine of Envoy west  127.0.0.1:${foreign}  `, "m"),
		);
		t.match(await metrics(), /^weir_probe_alarm\{[^}]*alarm="foreign-listener",gateway="",envoy="west"\} 1$/m);
		t.match(first.log(), /"alarm":"foreign-listener"/);
		t.match(first.log(), /"envoy":"west"/);

		// Again and again, for nothing is compared while routes change.
		const past = await probed(({ past }) => past.length > 0 || !asks(foreign, "past.test"));
		t.match(past.past, [{ alarm: "served-past-gateways", service: "shop", envoy: "west" }]);
		const unjudged = await probed(({ unjudged }) => unjudged.length > 0 || !asks(foreign, "unjudged.test"));
		t.match(unjudged.unjudged, [{ alarm: "served-unjudged", gateway: "edge", services: ["shop"], envoy: "west" }]);
		t.match((await lines("status")).join("\n"), /^ALARM served-unjudged at Gateway edge of Envoy west: /m);

		await end(west.child);
		const away = await probed((report) => report.unprobed.length > 0);
		t.match(away.unprobed, [{ gateway: "edge", envoy: "west", why: /neither it nor its weir envoy is connected/ }]);
		t.match(away.foreign, [{ envoy: "west" }], "an alarm that stood is not ended by its absence");
		t.match((await lines("status")).join("\n"), /^ALARM foreign-listener of Envoy west/m);
		t.ok(answered("east")(away), "the other one is probed all the same");

		const well = await envoy("west");
		const over = await probed(answered("east", "west"));
		t.same([over.foreign, over.unprobed], [[], []]);
		// These end with requests that are judged.
		await probed(({ past, unjudged }) => past.length + unjudged.length === 0 || !asks(well.port, "shop.test"));
		t.notMatch((await lines("status")).join("\n"), /ALARM|not probed/);

		await end(first.child, "SIGKILL");
		await control();
		const again = await probed(answered("east", "west"));
		t.same(again.unprobed, []);
		t.equal(east.child.exitCode, null);
	},
);

t.test("who is not that Envoy does not answer for it: refused, counted, audited", async (t) => {
	const { api, control, attend, metrics } = await scene(t);
	await control();
	t.match(await attend("sidecar", "east"), { code: 7 });
	t.match(await attend("east", "west"), { code: 7 });
	for (const reason of ["type", "another-node"]) {
		const counted = new RegExp(`^weir_xds_streams_refused_total\\{[^}]*reason="${reason}"\\} 1$`, "m");
		while (!counted.test(await metrics())) await pause(100); // metrics tell no event
	}
	const audited = async () =>
		JSON.parse((await askApi(api, "/v1/audit?chain=refused&after=0&limit=100")).text).records.map(
			({ subject, why }: { subject: string; why: string }) => `${subject} ${why}`,
		);
	while ((await audited()).length < 2) await pause(100);
	t.same(await audited(), [
		"spiffe://weir.local/weir/sidecar type",
		"spiffe://weir.local/weir/envoy/east another-node",
	]);
});

t.test("a Gateway of the mesh is probed by its own Envoy's identity", async (t) => {
	const { control, envoy, probed } = await scene(t, ", tls: {identity: mesh}");
	await control();
	await envoy("east");
	const { answers } = await probed(answered("east"));
	t.match(
		answers.map(({ reason, alarm }) => [reason, alarm]),
		[
			["not-canonical", null],
			["forbidden", null],
		],
	);
});

t.test("an Envoy whose keeper is gone, or hangs, is told as not probed and not counted, while it serves", async (t) => {
	const { directory, control, envoy, probed, lines } = await scene(t);
	await control();
	await envoy("west");
	const east = await envoy("east");
	await probed(answered("east", "west"));
	const pid = Number(await readFile(`${directory}/east/run/envoy.pid`, "utf8"));
	t.teardown(() => {
		try {
			process.kill(pid, "SIGKILL");
		} catch {
			// It has ended.
		}
	});
	east.child.kill("SIGSTOP");
	// In the round in which it begins to hang some may have been answered.
	const hung = await probed(({ unprobed }) => unprobed.some(({ why }) => why.includes("does not answer control")));
	t.match(hung.unprobed, [{ gateway: "edge", envoy: "east", why: /does not answer control/ }]);
	t.ok(answered("west")(hung));
	east.child.kill("SIGCONT");
	await probed(answered("east", "west"));

	await end(east.child, "SIGKILL");
	t.doesNotThrow(() => process.kill(pid, 0), "its Envoy serves on");
	t.equal(await statusOf(east.port), 200);
	const blind = await probed(({ uncounted }) => uncounted.some(({ rounds }) => rounds > 1));
	t.match(blind.unprobed, [{ gateway: "edge", envoy: "east", why: /does not answer control: run this Envoy by/ }]);
	t.match(blind.uncounted, [{ gateway: "edge", envoy: "east", why: "its weir envoy does not answer control" }]);
	t.ok(answered("west")(blind), "not probed at one does not hide behind the other, nor the other way round");
	const status = (await lines("status")).join("\n");
	t.match(
		status,
		/^ALARM verdicts-uncounted at Gateway edge of Envoy east: .*its weir envoy does not answer control$/m,
	);
	t.match(status, /^not probed: Gateway edge of Envoy east: its weir envoy does not answer/m);
});

/** An Envoy's binary that adds a listener to the bootstrap, which sends all that comes to the Service's servers. */
async function besides(directory: string, port: number): Promise<string> {
	const route = {
		name: "mine",
		validate_clusters: false,
		virtual_hosts: [
			{ name: "mine", domains: ["past.test"], routes: [{ match: { prefix: "/" }, route: { cluster: "shop/v1" } }] },
			// Counted as the Gateway's own, which has judged none of it.
			{
				name: "shop",
				domains: ["unjudged.test"],
				routes: [{ match: { prefix: "/" }, route: { cluster: "shop/v1" }, stat_prefix: "edge" }],
			},
		],
	};
	const http = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
	const router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
	const listener = {
		name: "mine",
		address: { socket_address: { address: "127.0.0.1", port_value: port } },
		filter_chains: [
			{
				filters: [
					{
						name: "http",
						typed_config: {
							"@type": http,
							stat_prefix: "mine",
							route_config: route,
							http_filters: [{ name: "router", typed_config: { "@type": router } }],
						},
					},
				],
			},
		],
	};
	await writeFile(`${directory}/listener.json`, JSON.stringify(listener));
	const edit = `const fs = require("fs"); const file = process.argv[1]; const made = JSON.parse(fs.readFileSync(file)); made.static_resources.listeners = [JSON.parse(fs.readFileSync("${directory}/listener.json"))]; fs.writeFileSync(file, JSON.stringify(made));`;
	const path = `${directory}/besides`;
	const { path: real } = await envoyBinary();
	await writeFile(
		path,
		`#!/bin/sh\nif [ "$1" = -c ]; then ${process.execPath} -e '${edit}' "$2"; fi\nexec ${real} "$@"\n`,
	);
	await chmod(path, 0o755);
	return path;
}

/** Sends a request; its answer is nobody's matter. */
const asks = (port: number, host: string): true => {
	void statusOf(port, host).catch(() => {});
	return true;
};

const statusOf = (port: number, host = "shop.test"): Promise<number> =>
	new Promise((resolve, reject) => {
		request({ host: "127.0.0.1", port, path: "/open/a", headers: { host }, agent: false }, (response) => {
			response.resume().once("end", () => resolve(response.statusCode ?? 0));
		})
			.once("error", reject)
			.end();
	});
