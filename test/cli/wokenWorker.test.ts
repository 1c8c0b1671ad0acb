/**
 * A worker of `weir sidecar --workers 2` that hung while tables were acknowledged without it: when it goes on, it answers by none of the
 * older ones, neither what waited for it nor what comes before it has caught up.
 */
import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import t from "tap";
import { places } from "../../src/cli/stack/places.js";
import { startSidecarChild } from "../failure/sidecarChild.js";
import { serviceTable } from "../sidecar/calloutTable.js";
import { type CheckClient, checkClient } from "../sidecar/checkClient.js";
import { acknowledged, plan, startServer } from "../sidecar/feedScene.js";
import { temporaryDirectory } from "./command.js";

t.setTimeout(120_000);

/** More than there are workers: the primary hands connections round. */
const CONNECTIONS = 6;
const ROUNDS = 4;
/** Of each connection, while one of the workers hangs. */
const CALLS = 5;

/** One for each number: nothing but the verdict, and the path of a rule that nobody asks for, tells them apart. */
const tableOf = (number: number, action: "allow" | "deny") =>
	plan({
		gateways: [],
		services: [
			serviceTable("small", {
				access: {
					open: false,
					policies: [
						{
							...{ name: "p", action, principals: ["*"], methods: [], pathPrefixes: [`/v${number}`, "/always"] },
							...{ variants: [], shadow: false, more: null },
						},
					],
				},
			}),
		],
	});

const ASK = { method: "GET", path: "/always", host: "small.test" };

type Said = "allow" | "deny" | "stale";

async function verdict(client: CheckClient): Promise<Said> {
	try {
		const { httpResponse } = await client.check(ASK, "spiffe://t.test/x");
		return httpResponse.case === "deniedResponse" ? "deny" : "allow";
	} catch (error) {
		const { code, details } = error as { code?: unknown; details?: string };
		if (code === status.UNAVAILABLE && details?.includes("stale") === true) return "stale";
		throw error;
	}
}

t.test("what was acknowledged while a worker hung is what it answers by when it goes on", async (t) => {
	const directory = await temporaryDirectory(t);
	const [data, run] = [join(directory, "d"), join(directory, "r")];
	for (const folder of [data, run]) await mkdir(folder, { mode: 0o700 });
	const at = places(data, run);
	const server = await startServer(t, at.adsSocket);
	let number = 0;
	const publish = async (action: "allow" | "deny"): Promise<void> => {
		const acked = acknowledged(server, ++number);
		server.publish(tableOf(number, action), number);
		await acked;
	};
	const first = publish("allow");
	const sidecar = await startSidecarChild(t, { arguments: ["--data", data, "--run", run, "--workers", "2"] });
	await first;
	const pids = execFileSync("pgrep", ["-P", String(sidecar.pid)], { encoding: "utf8" })
		.trim()
		.split("\n")
		.map(Number);
	t.equal(pids.length, 2);
	for (let round = 0; round < ROUNDS; round++) {
		const clients = Array.from({ length: CONNECTIONS }, () => checkClient(at.sidecarSocket));
		t.teardown(() => {
			for (const client of clients) client.close();
		});
		const [before, now] = round % 2 === 0 ? (["allow", "deny"] as const) : (["deny", "allow"] as const);
		t.same(new Set(await Promise.all(clients.map(verdict))), new Set([before]));
		const hangs = pids[round % 2] ?? 0;
		process.kill(hangs, "SIGSTOP");
		await publish(before);
		await publish(now);
		const calls = Array.from({ length: CALLS }, () => clients.map(verdict)).flat();
		// The other one has answered, so that what the one that hangs was asked lies there too.
		await Promise.any(calls);
		process.kill(hangs, "SIGCONT");
		const said = await Promise.all(calls);
		t.notOk(said.includes(before), `${said.filter((one) => one === before).length} by an older table`);
		t.ok(said.includes(now), "the other one answers meanwhile");
		for (;;) {
			const again = await Promise.all(clients.map(verdict));
			t.notOk(again.includes(before));
			if (again.every((one) => one === now)) break;
		}
	}
	t.equal(await sidecar.end("SIGTERM"), 0);
});
