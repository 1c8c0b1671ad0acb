/** A worker of `weir sidecar --workers N` listens when it knows what the primary knows: nobody is refused by one that starts. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client, credentials } from "@grpc/grpc-js";
import t from "tap";
import type { AnsweringOptions } from "../../src/cli/sidecar/answering.js";
import { type FromWorker, machineMs, type ToWorker } from "../../src/cli/sidecar/message.js";
import { startWorkers } from "../../src/sidecar/grpc/workers.js";
import { serviceTable } from "../sidecar/calloutTable.js";
import { plan } from "../sidecar/feedScene.js";
import { temporaryDirectory } from "./command.js";
import { planOf } from "./workerAnswer.js";

t.test("a worker has the table in force, and its age, before it listens", async (t) => {
	const directory = await temporaryDirectory(t);
	const socketPath = join(directory, "s.sock");
	const given = plan({ gateways: [], services: [serviceTable("small")] });
	const said: FromWorker["kind"][] = [];
	const who: AnsweringOptions = { identity: null, peers: [], keysDirectory: null };
	let listens: () => void = () => {};
	const listening = new Promise<void>((resolve) => {
		listens = resolve;
	});
	const workers = await startWorkers<ToWorker>({
		count: 1,
		module: fileURLToPath(new URL("../../src/cli/sidecar/worker.js", import.meta.url)),
		args: [JSON.stringify({ socketPath }), JSON.stringify(who)],
		socketPath,
		greet: () => [
			{ kind: "table", order: 1, given, givenAtMs: machineMs() },
			{ kind: "age", ageMs: 0, saidAtMs: machineMs() },
		],
		onMessage: (message, worker) => {
			const { kind } = message as FromWorker;
			if (kind !== "counts") said.push(kind);
			if (kind === "listening") listens();
			if (kind !== "in-force") return;
			t.notOk(existsSync(socketPath), "nobody can call it before it has been told all");
			workers.send(worker, { kind: "greeted" });
		},
	});
	t.teardown(() => workers.close(4_000));
	await listening;
	t.same(said, ["in-force", "listening"]);
	const client = new Client(`unix:${socketPath}`, credentials.createInsecure());
	t.teardown(() => client.close());
	t.equal(await planOf(client), given.version, "so the first call has its answer");
});
