/** `weir sidecar` before the real xDS server: a test stops its processes while new tables arrive, and sees by which table it answers. */
import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import type { Test } from "tap";
import { places } from "../../../src/cli/stack/places.js";
import { startSidecarChild } from "../../failure/sidecarChild.js";
import { serviceTable } from "../../publish/sidecar/calloutTable.js";
import { type CheckClient, checkClient } from "../../publish/sidecar/checkClient.js";
import { acknowledged, plan, startServer } from "../../publish/sidecar/feedScene.js";
import { temporaryDirectory } from "../command.js";

/** The table of a number: tables differ in the verdict, and in the path of a rule that no request uses. */
const tableOf = (number: number, action: Action) =>
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

export type Action = "allow" | "deny";
type Verdict = Action | "stale";

/** The verdict of a call on that connection. */
export async function verdict(client: CheckClient): Promise<Verdict> {
	try {
		const { httpResponse } = await client.check(ASK, "spiffe://t.test/x");
		return httpResponse.case === "deniedResponse" ? "deny" : "allow";
	} catch (error) {
		const { code, details } = error as { code?: unknown; details?: string };
		if (code === status.UNAVAILABLE && details?.includes("stale") === true) return "stale";
		throw error;
	}
}

/**
 * Moves the clocks of its processes ahead: both as a standstill does, the wall clock alone as a suspend does, in which the monotonic
 * clock stands still.
 */
const AHEAD = `import fs from "node:fs";
const ahead = (clock) => JSON.parse(fs.readFileSync(process.env.CLOCKS_AHEAD, "utf8"))[clock];
const wall = Date.now, monotonic = performance.now.bind(performance);
Date.now = () => wall() + ahead("wallMs");
performance.now = () => monotonic() + ahead("monotonicMs");`;

/** @param workers 1 = the process itself answers */
export async function startWoken(t: Test, workers: number) {
	const directory = await temporaryDirectory(t);
	const [data, run] = [join(directory, "d"), join(directory, "r")];
	for (const folder of [data, run]) await mkdir(folder, { mode: 0o700 });
	const at = places(data, run);
	const server = await startServer(t, at.adsSocket);
	let number = 0;
	const give = (action: Action): void => {
		number++;
		server.publish(tableOf(number, action), number);
	};
	const publish = async (action: Action): Promise<void> => {
		const acked = acknowledged(server, number + 1);
		give(action);
		await acked;
	};
	const aheadFile = join(directory, "ahead");
	/** Moves the clocks further. Call it while all of its processes are stopped. */
	const ahead = (wallMs: number, monotonicMs: number): Promise<void> => {
		aheadMs = { wallMs: aheadMs.wallMs + wallMs, monotonicMs: aheadMs.monotonicMs + monotonicMs };
		return writeFile(aheadFile, JSON.stringify(aheadMs));
	};
	let aheadMs = { wallMs: 0, monotonicMs: 0 };
	await ahead(0, 0);
	const first = publish("allow");
	const sidecar = await startSidecarChild(t, {
		arguments: ["--data", data, "--run", run, "--workers", `${workers}`],
		environment: {
			NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(AHEAD)}`,
			CLOCKS_AHEAD: aheadFile,
		},
	});
	await first;
	const pids =
		workers === 1
			? []
			: execFileSync("pgrep", ["-P", String(sidecar.pid)], { encoding: "utf8" })
					.trim()
					.split("\n")
					.map(Number);
	const connect = (connections: number): CheckClient[] => {
		const clients = Array.from({ length: connections }, () => checkClient(at.sidecarSocket));
		t.teardown(() => {
			for (const client of clients) client.close();
		});
		return clients;
	};
	/** Process ids that answer. */
	const answering = workers === 1 ? [sidecar.pid] : pids;
	return { server, sidecar, answering, give, publish, connect, ahead };
}
