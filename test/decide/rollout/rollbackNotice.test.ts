/**
 * A rollback is told at least once whatever dies: the real roles as processes, killed between the rollback and its
 * telling and in the middle of it, and a real receiver.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import t from "tap";
import type { GateQuestion } from "../../../src/decide/rollout/gate.js";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import { StateClient } from "../../../src/operate/api/client.js";
import { MAIN } from "../../cli/command.js";
import {
	experiment as declared,
	file,
	METRIC,
	outcome,
	SERVICE,
	temporaryDirectory,
} from "../../operate/state/employment.js";
import { input } from "./example.js";

async function role(
	t: { teardown(end: () => unknown): unknown },
	name: string,
	directory: string,
): Promise<ChildProcess> {
	const child = fork(MAIN, ["control", "--roles", name, "--data", directory, "--allow-local-gates"], {
		stdio: ["ignore", "ignore", "ignore", "ipc"],
		detached: true,
	});
	t.teardown(() => child.kill("SIGKILL"));
	await once(child, "message");
	return child;
}

async function kill(child: ChildProcess): Promise<void> {
	const ended = once(child, "exit");
	child.kill("SIGKILL");
	await ended;
}

t.test(
	"kill -9 between a rollback and its notification, or during it: sent again with the same id until accepted",
	async (t) => {
		const calls: { readonly question: GateQuestion; readonly key: string; readonly response: ServerResponse }[] = [];
		const waiting: (() => void)[] = [];
		const receiver = createServer(async (request, response) => {
			let text = "";
			for await (const chunk of request) text += chunk;
			calls.push({ question: JSON.parse(text), key: String(request.headers["idempotency-key"]), response });
			for (const wake of waiting.splice(0)) wake();
		}).listen(0, "127.0.0.1");
		await once(receiver, "listening");
		t.teardown(() => {
			receiver.close();
			receiver.closeAllConnections();
		});
		const call = async (count: number) => {
			while (calls.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
			return calls[count - 1] as (typeof calls)[number];
		};

		const directory = temporaryDirectory(t);
		const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/told`;
		let api = await role(t, "api", directory);
		const socket = join(directory, "run", "api.sock");
		const client = new ApiClient(`unix:${socket}`);
		const gates = `, gates: [{at: after-rollback, url: "${url}", timeout: 1m}]`;
		const text = [SERVICE, METRIC, declared("boosted").replace(", alpha: 0.05", `, alpha: 0.05${gates}`)].join("---\n");
		t.match(await client.apply(file(text), { dryRun: false }), { outcome: "applied" });
		const state = new StateClient(socket);
		const now = await state.state(-1, 0);
		const [one] = now?.resources.experiments ?? [];
		const status = now?.status.experiments.boosted;
		if (now === null || one === undefined || status === undefined) throw new Error("no Experiment");
		await state.decide({
			experiment: "boosted",
			expectedRevision: now.revision,
			by: "weir",
			atMs: 1,
			input: input({ experiment: one, status }),
			outcome: outcome(
				{ ...status, phase: "RolledBack", allocationPpm: 0 },
				{ action: "roll-back", rule: "harm", reason: "Rolled back." },
			),
		});
		await kill(api);
		t.equal(calls.length, 0, "the rollback is stored, and nobody has been told");

		api = await role(t, "api", directory);
		t.match((await client.status()).experiments, [{ status: { phase: "RolledBack" } }]);
		let rollout = await role(t, "rollout", directory);
		const first = await call(1);
		t.match(first.question, {
			at: "after-rollback",
			experiment: "boosted",
			action: "roll-back",
			from: { phase: "Running", allocationPpm: 20_000 },
			to: { phase: "RolledBack", allocationPpm: 0 },
			reason: "Rolled back.",
		});
		// It was heard and not answered: to be told again is the only way to be sure.
		await kill(rollout);
		rollout = await role(t, "rollout", directory);
		const second = await call(2);
		t.equal(second.key, first.key);
		second.response.writeHead(500).end();
		const third = await call(3);
		t.equal(third.key, first.key, "a no is no taking: again after a pause");
		await kill(api);
		api = await role(t, "api", directory);
		t.equal((await state.pending()).length, 1);
		third.response.writeHead(200).end();
		while ((await state.pending()).length > 0) await new Promise((resolve) => setTimeout(resolve, 50));
		await kill(rollout);
		await kill(api);
		api = await role(t, "api", directory);
		t.same(await state.pending(), [], "what was taken stays crossed out");
		t.equal(calls.length, 3);
	},
);
