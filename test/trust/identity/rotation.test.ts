/** Restarts of the CA and rotation of all identities under requests through a real Envoy. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import t from "tap";
import { MAIN } from "../../cli/command.js";
import { startEnvoy } from "../../envoy/harness.js";
import {
	client,
	guardedServer,
	identityOf,
	load,
	mesh,
	meshBootstrap,
	PREDICTOR,
	scratch,
	TRUST_DOMAIN,
	until,
} from "./mesh.js";

// Certificates are valid for a few seconds: long enough that a busy machine does not look like a missing agent.
t.setTimeout(180_000);

t.test("no request fails with SVIDs of seconds and a new root under load", async (t) => {
	const { ca, socket, predictor, caller } = await mesh(t, { svidLifetimeMs: 16_000, rootLifetimeMs: 600_000 });
	const envoy = await startEnvoy(t, meshBootstrap({ identitySocket: socket("envoy"), upstreamPort: predictor.port }));
	const port = envoy.port();
	const running = load(t, client(caller, port));
	const serials = new Set<string>();
	const watching = async (wanted: number): Promise<boolean> => {
		const page = JSON.parse(await envoy.admin("/certs"));
		for (const { cert_chain } of page.certificates) serials.add(cert_chain[0].serial_number);
		return serials.size >= wanted;
	};
	await until(() => watching(2), "Envoy has had two certificates");
	const before = ca.bundle();
	await ca.rotateRoot(4_000);
	const both = ca.bundle();
	t.ok(both.length > before.length && both.startsWith(before), "the old root is trusted beside the new one");
	const seen = serials.size;
	await until(() => watching(seen + 1), "Envoy has a certificate of the new root");
	const { served, failed } = await running.stop();
	t.same(failed, []);
	t.ok(served > 5, `${served} requests`);
	t.equal(predictor.refusals.length, 0);
	t.equal(await envoy.stat("listener.127.0.0.1_0.ssl.connection_error"), 0);
});

t.test("Envoy serves while weir ca is killed and restarted, and gets its next certificates", async (t) => {
	const directory = await scratch(t);
	const socket = (name: string) => join(directory, "run/identity", `${name}.sock`);
	let process_: ChildProcess | null = null;
	const start = async (): Promise<void> => {
		const child = spawn(
			process.execPath,
			[
				MAIN,
				"ca",
				...["--data", directory, "--trust-domain", TRUST_DOMAIN, "--svid-lifetime", "10m", "--root-lifetime", "1h"],
				...["--workload", "envoy=/weir/envoy/gateway", "--workload", `predictor=${PREDICTOR}`],
				...["--workload", "client=/weir/client"],
			],
			{ stdio: ["ignore", "pipe", "inherit"] },
		);
		process_ = child;
		let output = "";
		child.stdout.setEncoding("utf8");
		for await (const text of child.stdout) {
			output += text;
			if (output.includes("READY")) break;
		}
		t.match(output, /READY .*"envoy":\{"id":"spiffe:\/\/weir\.test\/weir\/envoy\/gateway"/);
	};
	const kill = async (): Promise<void> => {
		const child = process_;
		if (child === null || child.exitCode !== null || child.signalCode !== null) return;
		child.kill("SIGKILL");
		await once(child, "exit");
	};
	t.teardown(kill);
	await start();
	const predictor = await guardedServer(t, await identityOf(t, socket("predictor")));
	const caller = await identityOf(t, socket("client"));
	const envoy = await startEnvoy(t, meshBootstrap({ identitySocket: socket("envoy"), upstreamPort: predictor.port }));
	const serial = async (): Promise<string> =>
		JSON.parse(await envoy.admin("/certs")).certificates[0].cert_chain[0].serial_number;
	const running = load(t, client(caller, envoy.port()));
	await kill();
	const last = await serial();
	t.equal(await client(caller, envoy.port())(), 200, "served while the CA is dead");
	await start();
	await until(async () => (await serial()) !== last, "a certificate of the new process, under the same root");
	const { served, failed } = await running.stop();
	t.same(failed, []);
	t.ok(served > 5, `${served} requests`);
});
