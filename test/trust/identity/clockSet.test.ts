/** `weir ca` with a wrong clock that is then corrected, under a real Envoy: everything recovers by itself. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t from "tap";
import { MAIN } from "../../cli/command.js";
import { startEnvoy, type TestScope } from "../../envoy/harness.js";
import { client, guardedServer, identityOf, meshBootstrap, PREDICTOR, scratch, TRUST_DOMAIN, until } from "./mesh.js";

const SET_CLOCK = new URL("./setClock.js", import.meta.url).href;
const HOUR_MS = 3_600_000;
/** The CA checks every two seconds; the rest is for a busy machine. An SVID is valid for an hour. */
const PATIENCE_MS = 30_000;

t.setTimeout(180_000);

/** `weir ca` on a clock of its own. */
async function wrongClock(t: TestScope, offMs: number) {
	const directory = await scratch(t);
	const clock = join(directory, "clock");
	await writeFile(clock, String(offMs));
	const start = async () => {
		const child = spawn(
			process.execPath,
			[
				...["--import", SET_CLOCK, MAIN, "ca", "--data", directory, "--trust-domain", TRUST_DOMAIN],
				...["--workload", "envoy=/weir/envoy/gateway", "--workload", `predictor=${PREDICTOR}`],
				...["--workload", "client=/weir/client"],
			],
			{ stdio: ["ignore", "pipe", "ignore"], env: { ...process.env, WEIR_TEST_CLOCK: clock } },
		);
		t.teardown(() => void child.kill("SIGKILL"));
		for await (const line of createInterface({ input: child.stdout })) if (line.startsWith("READY")) break;
		return child;
	};
	let child = await start();
	const setRight = () => writeFile(clock, "0");
	return {
		socket: (name: string) => join(directory, "run/identity", `${name}.sock`),
		/** An NTP step. */
		step: async () => {
			await setRight();
			child.kill("SIGUSR2");
		},
		restart: async () => {
			await setRight();
			child.kill("SIGTERM");
			await once(child, "exit");
			child = await start();
		},
	};
}

for (const [what, offMs, how] of [
	["a clock three hours behind is set: SVIDs have expired", -3 * HOUR_MS, "step"],
	["a clock eight days behind is set: the root has expired too", -8 * 24 * HOUR_MS, "step"],
	["a clock four hours ahead is set back: SVIDs and root are not yet valid", 4 * HOUR_MS, "step"],
	["a clock four hours ahead is set back, and weir ca restarts on its data", 4 * HOUR_MS, "restart"],
] as const) {
	t.test(what, async (t) => {
		const ca = await wrongClock(t, offMs);
		const upstream = await front(t);
		const envoy = await startEnvoy(
			t,
			meshBootstrap({ identitySocket: ca.socket("envoy"), upstreamPort: upstream.port }),
		);
		/** Milliseconds until Envoy's certificate and its root begin, and since they ended: neither is above 0 in their time. */
		const wrongBy = async (): Promise<readonly number[]> =>
			JSON.parse(await envoy.admin("/certs")).certificates.flatMap(
				({ ca_cert, cert_chain }: Record<"ca_cert" | "cert_chain", readonly EnvoyCertificate[]>) =>
					[...ca_cert, ...cert_chain].map(({ valid_from, expiration_time }) =>
						Math.max(Date.parse(valid_from) - Date.now(), Date.now() - Date.parse(expiration_time)),
					),
			);
		await until(async () => (await wrongBy()).some((ms) => ms > HOUR_MS), "Envoy has a certificate of another time");
		// Both follow before the clock is set. They reject an expired identity, but not one that is not yet valid.
		const holding = Promise.all([identityOf(t, ca.socket("predictor")), identityOf(t, ca.socket("client"))]);
		holding.catch(() => {});
		const port = envoy.port();
		if (offMs > 0) {
			const [own, caller] = await holding;
			upstream.to((await guardedServer(t, own)).port);
			await t.rejects(client(caller, port)(), { code: "CERT_NOT_YET_VALID" });
		}
		await ca[how]();
		const [own, caller] = await holding;
		if (offMs < 0) upstream.to((await guardedServer(t, own)).port);
		const served = async (): Promise<boolean> => (await client(caller, port)().catch(() => 0)) === 200;
		await until(served, "client, Envoy and server meet", PATIENCE_MS);
		t.ok(
			(await wrongBy()).every((ms) => ms <= 0),
			"Envoy has nothing of the other time",
		);
	});
}

interface EnvoyCertificate {
	readonly valid_from: string;
	readonly expiration_time: string;
}

/** A port that is known before the server listens. */
async function front(t: TestScope): Promise<{ readonly port: number; to(port: number): void }> {
	let target = 0;
	const open = new Set<Socket>();
	const server = createServer((socket) => {
		const onward = connect(target, "127.0.0.1");
		for (const one of [socket, onward]) one.on("error", () => [socket, onward].map((end) => end.destroy()));
		for (const one of [socket, onward]) {
			open.add(one);
			one.on("close", () => open.delete(one));
		}
		socket.pipe(onward).pipe(socket);
	}).listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => {
		server.close();
		for (const socket of open) socket.destroy();
	});
	return {
		port: (server.address() as AddressInfo).port,
		to: (port) => {
			target = port;
		},
	};
}
