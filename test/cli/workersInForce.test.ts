/**
 * `weir sidecar --workers 2` before the real xDS server: what is acknowledged is what every worker answers by, large rules too, and a
 * worker that hangs holds up the acknowledgement for no longer than its bound.
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Client, credentials } from "@grpc/grpc-js";
import t from "tap";
import { places } from "../../src/cli/stack/places.js";
import { WORKERS_IN_FORCE_MS_MAX } from "../../src/limits.js";
import { counted } from "../failure/metrics.js";
import { startSidecarChild } from "../failure/sidecarChild.js";
import { serviceTable } from "../sidecar/calloutTable.js";
import { acknowledged, plan, startServer } from "../sidecar/feedScene.js";
import { temporaryDirectory } from "./command.js";
import { planOf } from "./workerAnswer.js";

t.setTimeout(120_000);

const RULES = 1_500;
const CALLERS = 20;
/** More than there are workers: the primary hands connections round. */
const CONNECTIONS = 6;

const tableOf = (version: number) =>
	plan({
		gateways: [],
		services: [
			serviceTable("large", {
				access: {
					open: false,
					policies: Array.from({ length: RULES }, (_, at) => ({
						name: `p${at}`,
						action: "allow" as const,
						principals: Array.from({ length: CALLERS }, (_, caller) => `spiffe://t.test/c${at}-${caller}`),
						methods: [at === RULES - 1 ? `M${version}` : "GET"],
						pathPrefixes: ["/v2"],
						variants: [],
						shadow: false,
						more: null,
					})),
				},
			}),
			serviceTable("small"),
		],
	});

t.test(
	"a table is acknowledged when all workers answer by it, and a worker that hangs holds it up for a while",
	async (t) => {
		const directory = await temporaryDirectory(t);
		const [data, run] = [join(directory, "d"), join(directory, "r")];
		for (const folder of [data, run]) await mkdir(folder, { mode: 0o700 });
		const at = places(data, run);
		const server = await startServer(t, at.adsSocket);
		const plans = Array.from({ length: 6 }, (_, version) => tableOf(version));
		const publish = async (version: number): Promise<string> => {
			const next = plans[version];
			if (next === undefined) throw new Error("no plan");
			const acked = acknowledged(server, version + 1);
			server.publish(next, version + 1);
			await acked;
			return next.version;
		};
		const first = publish(0);
		const sidecar = await startSidecarChild(t, { arguments: ["--data", data, "--run", run, "--workers", "2"] });
		const clients = Array.from({ length: CONNECTIONS }, () => {
			const options = { "grpc.use_local_subchannel_pool": 1 };
			const client = new Client(`unix:${at.sidecarSocket}`, credentials.createInsecure(), options);
			t.teardown(() => client.close());
			return client;
		});
		const answered = () => Promise.all(clients.map(planOf));
		const all = (version: string) => clients.map(() => version);
		t.same(await answered(), all(await first));
		for (const version of [1, 2, 3]) {
			const fromMs = performance.now();
			const next = await publish(version);
			t.comment(`acknowledged after ${(performance.now() - fromMs).toFixed(0)} ms`);
			t.same(await answered(), all(next), "acknowledged, and so by every worker");
		}

		const pids = execFileSync("pgrep", ["-P", String(sidecar.pid)], { encoding: "utf8" })
			.trim()
			.split("\n")
			.map(Number);
		t.equal(pids.length, 2);
		const [hangs = 0] = pids;
		process.kill(hangs, "SIGSTOP");
		const fromMs = performance.now();
		const coming = publish(4);
		while ((await Promise.any(clients.map(planOf))) !== plans[4]?.version);
		t.notOk(existsSync(at.sidecarTableFile), "no older one than what a worker answers by is left for a restart");
		const next = await coming;
		const tookMs = performance.now() - fromMs;
		t.ok(
			tookMs > WORKERS_IN_FORCE_MS_MAX / 2 && tookMs < WORKERS_IN_FORCE_MS_MAX + 5_000,
			`after ${tookMs.toFixed(0)} ms`,
		);
		t.match(sidecar.log(), /workers do not answer by the new table yet/);
		while ((await counted(at.sidecarMetricsSocket, "weir_sidecar_workers_silent")) !== 1) await pause(100);
		t.match(sidecar.log(), `sidecar worker ${hangs} has said nothing for 5000 ms`);
		process.kill(hangs, "SIGCONT");
		const last = await publish(5);
		t.not(last, next);
		t.same(await answered(), all(last), "it has caught up");
		t.equal(await sidecar.end("SIGTERM"), 0);
	},
);
