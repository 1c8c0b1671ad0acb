/**
 * A real SPIRE server and agent in place of our own CA: its SDS gives a real Envoy its identity, its Workload API gives
 * ours to Node, and both rotate under load. Needs Go, gcc and about ten minutes of one core once; the programs are kept in
 * ~/.cache/weir/spire. Skipped, with the reason, where they cannot be built.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:fs";
import { access, mkdir, realpath, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import t, { type Test } from "tap";
import { startBackend } from "../cli/backend.js";
import { weirUp } from "../cli/command.js";
import { MESH_GATEWAY, protectedService } from "../cli/documents.js";
import { envoyBinary, startEnvoy } from "../envoy/harness.js";
import {
	client,
	freePort,
	get,
	guardedServer,
	identityOf,
	load,
	meshBootstrap,
	mutualAgent,
	scratch,
	until,
} from "../trust/identity/mesh.js";

const VERSION = "v1.13.3";
const BIN = join(homedir(), ".cache/weir/spire");
const TRUST_DOMAIN = "spire.test";
const run = promisify(execFile);

// The build alone takes minutes; rotation waits for SPIRE's own pace.
t.setTimeout(3_000_000);

/** @returns null, or why there is no SPIRE here */
async function build(): Promise<string | null> {
	const names = ["spire-agent", "spire-server"];
	const found = await Promise.all(
		names.map((name) =>
			access(join(BIN, name), constants.X_OK).then(
				() => true,
				() => false,
			),
		),
	);
	if (!found.includes(false)) return null;
	const source = join(BIN, "src");
	await mkdir(source, { recursive: true });
	const env = { ...process.env, GOMAXPROCS: "1", GOFLAGS: "-p=1 -buildvcs=false -mod=mod", GOBIN: BIN };
	const go = (...args: string[]) =>
		run("nice", ["-n", "19", "go", ...args], { cwd: source, env, maxBuffer: 64 * 1024 * 1024 });
	try {
		// A failed or interrupted build leaves its module behind.
		await go("mod", "init", "spirebuild").catch(() => {});
		const packages = names.map((name) => `github.com/spiffe/spire/cmd/${name}`);
		await go("get", "-tool", ...packages.map((name) => `${name}@${VERSION}`));
		for (const name of packages) await go("install", "-ldflags", "-s -w", name);
		return null;
	} catch (error) {
		return `SPIRE ${VERSION} cannot be built here: ${(error as Error).message.trim().split("\n").slice(-1)}`;
	}
}

const missing = await build();

/** A server, and what agents are made with. */
async function startSpire(t: Test) {
	const directory = await scratch(t);
	const server = join(directory, "server");
	const serverSocket = join(server, "api.sock");
	const children: ChildProcess[] = [];
	const start = (name: string, config: string): ChildProcess => {
		const child = spawn(join(BIN, name), ["run", "-config", config], { stdio: ["ignore", "pipe", "pipe"] });
		for (const stream of [child.stdout, child.stderr]) stream?.on("data", (text) => t.comment(`${name}: ${text}`));
		children.push(child);
		return child;
	};
	t.teardown(async () => {
		for (const child of children.reverse()) {
			if (child.exitCode !== null || child.signalCode !== null) continue;
			child.kill("SIGKILL");
			await once(child, "exit");
		}
	});
	const spire = async (...args: string[]): Promise<string> => {
		const { stdout } = await run(join(BIN, "spire-server"), [...args, "-socketPath", serverSocket]);
		return stdout;
	};
	const port = await freePort();
	await mkdir(server, { mode: 0o700 });
	await writeFile(
		join(directory, "server.conf"),
		`server { bind_address="127.0.0.1" bind_port="${port}" socket_path="${serverSocket}" trust_domain="${TRUST_DOMAIN}" data_dir="${server}" log_level="WARN" ca_ttl="1h" default_x509_svid_ttl="20s" }
plugins { DataStore "sql" { plugin_data { database_type="sqlite3" connection_string="${server}/d.sqlite3" } } NodeAttestor "join_token" { plugin_data {} } KeyManager "memory" { plugin_data {} } }
`,
	);
	start("spire-server", join(directory, "server.conf"));
	await until(
		() =>
			spire("healthcheck").then(
				(text) => text.includes("healthy"),
				() => false,
			),
		"a healthy server",
	);
	const node = `spiffe://${TRUST_DOMAIN}/node`;
	/** An agent of that name. @param entries ids and the selector of each. @returns its socket */
	const agent = async (
		name: string,
		entries: readonly (readonly [path: string, selector: string])[],
	): Promise<string> => {
		const data = join(directory, name);
		const socket = join(directory, `${name}.sock`);
		await mkdir(data, { mode: 0o700 });
		const token = (await spire("token", "generate", "-spiffeID", `${node}/${name}`)).trim().split(/\s+/)[1];
		await writeFile(join(data, "boot.crt"), await spire("bundle", "show"));
		await writeFile(
			join(data, "agent.conf"),
			`agent { data_dir="${data}" log_level="WARN" server_address="127.0.0.1" server_port="${port}" socket_path="${socket}" trust_bundle_path="${data}/boot.crt" trust_domain="${TRUST_DOMAIN}" join_token="${token}" }
plugins { NodeAttestor "join_token" { plugin_data {} } KeyManager "memory" { plugin_data {} } WorkloadAttestor "unix" { plugin_data { discover_workload_path = true } } }
`,
		);
		for (const [path, selector] of entries) {
			await spire(
				...["entry", "create", "-parentID", `${node}/${name}`, "-spiffeID", `spiffe://${TRUST_DOMAIN}/weir/${path}`],
				...["-selector", selector, "-x509SVIDTTL", "20"],
			);
		}
		start("spire-agent", join(data, "agent.conf"));
		return socket;
	};
	return { directory, spire, agent };
}

t.test(
	"SPIRE serves Envoy by SDS and Node by the Workload API; all rotate, no request fails",
	{
		skip: missing ?? false,
	},
	async (t) => {
		const { spire, agent } = await startSpire(t);
		const own = `unix:uid:${process.getuid?.()}`;
		const agents: string[] = [];
		// One agent for each part, as if each had a machine of its own: one user id is one workload for the unix attestor.
		for (const name of ["envoy", "predictor", "client"]) agents.push(await agent(name, [[name, own]]));
		const [envoySocket = "", predictorSocket = "", clientSocket = ""] = agents;
		const id = (name: string) => `spiffe://${TRUST_DOMAIN}/weir/${name}`;

		const predictorIdentity = await identityOf(t, predictorSocket);
		t.equal(predictorIdentity.current().spiffeId, id("predictor"));
		const caller = await identityOf(t, clientSocket);
		const predictor = await guardedServer(t, predictorIdentity, [id("envoy")]);
		const envoy = await startEnvoy(
			t,
			meshBootstrap({
				identitySocket: envoySocket,
				upstreamPort: predictor.port,
				clients: [id("client")],
				upstream: id("predictor"),
			}),
		);
		const ask = client(caller, envoy.port(), id("envoy"));
		t.equal(await ask(), 200);
		t.match(predictor.forwarded[0], `URI=${id("client")}`);
		t.match(await envoy.admin("/certs"), id("envoy"));
		const direct = mutualAgent(caller, () => true);
		await t.rejects(get({ port: predictor.port, agent: direct }), "past Envoy the client gets nowhere");
		direct.destroy();

		const running = load(t, ask);
		const serial = async (): Promise<string> =>
			JSON.parse(await envoy.admin("/certs")).certificates[0].cert_chain[0].serial_number;
		const firstEnvoy = await serial();
		const first = predictorIdentity.current().certificate;
		const firstCaller = caller.current().certificate;
		const patient = 120_000;
		await until(async () => (await serial()) !== firstEnvoy, "Envoy's certificate rotates", patient);
		await until(() => predictorIdentity.current().certificate !== first, "the server's rotates", patient);
		await until(() => caller.current().certificate !== firstCaller, "the client's rotates", patient);

		// A new root while all of this runs: prepared, activated, and everyone's next SVID is its.
		const roots = predictorIdentity.current().trustBundle;
		const shown = JSON.parse(await spire("localauthority", "x509", "prepare", "-output", "json"));
		const prepared = shown.prepared_authority?.authority_id;
		t.type(prepared, "string");
		await until(
			() => predictorIdentity.current().trustBundle.length > roots.length,
			"both roots are believed",
			patient,
		);
		await until(() => caller.current().trustBundle.length > roots.length, "by the client too", patient);
		await until(
			async () => JSON.parse(await envoy.admin("/certs")).certificates[0].ca_cert.length > 1,
			"and by Envoy",
			patient,
		);
		await spire("localauthority", "x509", "activate", "-authorityID", prepared);
		const underOld = await serial();
		await until(async () => (await serial()) !== underOld, "Envoy has a certificate of the new root", patient);
		t.equal(await ask(), 200);
		const { served, failed } = await running.stop();
		t.same(failed, []);
		t.ok(served > 20, `${served} requests`);
	},
);

t.test(
	"weir up takes the identities of its parts from one agent, which knows them by their programs",
	{
		skip: missing ?? false,
	},
	async (t) => {
		const { directory, agent } = await startSpire(t);
		const id = (path: string) => `spiffe://${TRUST_DOMAIN}/weir/${path}`;
		const { path: envoy } = await envoyBinary();
		// Control, sidecar and this test are all Node: to tell them apart they need users, containers or machines of their own.
		const socket = await agent("machine", [
			["envoy/weir-gateway", `unix:path:${await realpath(envoy)}`],
			["control", `unix:path:${await realpath(process.execPath)}`],
		]);
		const port = await startBackend(t);
		const file = join(directory, "weir.yaml");
		const [own, foreign] = [id("control"), id("other")];
		await writeFile(
			file,
			[protectedService("own", port, own), protectedService("foreign", port, foreign), MESH_GATEWAY].join("---\n"),
		);
		const options = ["--identity-socket", socket, "--trust-domain", TRUST_DOMAIN];
		const up = await weirUp(file, join(directory, "data"), options);
		t.teardown(async () => void (await up.stop()));
		const caller = await identityOf(t, socket);
		t.equal(caller.current().spiffeId, id("control"));
		const ask = async (host: string): Promise<number> => {
			const agent = mutualAgent(caller, (peer) => peer === id("envoy/weir-gateway"));
			try {
				return await get({ port: new URL(up.ready.gateway).port, agent, headers: { host } });
			} finally {
				agent.destroy();
			}
		};
		t.equal(await ask("own.test"), 200, "a client by its SVID, at a Gateway by Envoy's");
		t.equal(await ask("foreign.test"), 403);
		const first = caller.current().certificate;
		await until(() => caller.current().certificate !== first, "it rotates", 120_000);
		t.equal(await ask("own.test"), 200);
		t.equal(await up.stop(), 0);
	},
);
