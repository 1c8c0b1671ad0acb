/**
 * A gate gets a rollback's notification at least once: control is killed before and while it sends to a real receiver.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t from "tap";
import type { GateQuestion } from "../../../src/decide/rollout/gate.js";
import { Store } from "../../../src/operate/state/store/store.js";
import { MAIN } from "../../cli/command.js";
import {
	experiment as declared,
	file,
	METRIC,
	outcome,
	SERVICE,
	temporaryDirectory,
} from "../../operate/employment.js";
import { input } from "./example.js";

async function control(t: { teardown(end: () => unknown): unknown }, directory: string): Promise<ChildProcess> {
	const child = fork(MAIN, ["control", "--data", directory, "--allow-local-gates"], {
		stdio: ["ignore", "ignore", "pipe", "ipc"],
		detached: true,
	});
	t.teardown(() => child.kill("SIGKILL"));
	await once(child, "message");
	return child;
}

/** Resolves when the process logs such a line. */
async function logged(child: ChildProcess, words: string): Promise<void> {
	if (child.stderr === null) throw new Error("no output");
	for await (const line of createInterface(child.stderr)) if (line.includes(words)) return;
}

async function kill(child: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
	const ended = once(child, "exit");
	child.kill(signal);
	await ended;
}

t.test("a rollback notification survives kill -9, and is repeated with the same id until accepted", async (t) => {
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
	const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/rollback`;
	const gates = `, gates: [{at: after-rollback, url: "${url}", timeout: 1m}]`;
	const text = [SERVICE, METRIC, declared("boosted").replace(", alpha: 0.05", `, alpha: 0.05${gates}`)].join("---\n");
	const open = () => new Store(join(directory, "state"), { allowLocalGates: true });
	const before = open();
	t.match(before.apply(file(text), { by: "ann", dryRun: false, nowMs: 1 }), { outcome: "applied" });
	const { revision, resources, status: live } = before.current;
	const [one] = resources.experiments;
	const status = live.experiments.boosted;
	if (one === undefined || status === undefined) throw new Error("no Experiment");
	await before.decide({
		experiment: "boosted",
		expectedRevision: revision,
		by: "weir",
		atMs: 1,
		input: input({ experiment: one, status }),
		outcome: outcome(
			{ ...status, phase: "RolledBack", allocationPpm: 0 },
			{ action: "roll-back", rule: "harm", reason: "Rolled back." },
		),
	});
	await before.close();
	t.equal(calls.length, 0, "the rollback is stored, and no gate has heard of it");

	let running = await control(t, directory);
	const first = await call(1);
	t.match(first.question, {
		at: "after-rollback",
		experiment: "boosted",
		action: "roll-back",
		from: { phase: "Running", allocationPpm: 20_000 },
		to: { phase: "RolledBack", allocationPpm: 0 },
		reason: "Rolled back.",
	});
	// It was received and not answered, so only a repeat is sure to arrive.
	await kill(running);
	running = await control(t, directory);
	const second = await call(2);
	t.equal(second.key, first.key);
	second.response.writeHead(500).end();
	const third = await call(3);
	t.equal(third.key, first.key, "after a refusal it is sent again");
	await kill(running);
	running = await control(t, directory);
	const fourth = await call(4);
	t.equal(fourth.key, first.key);
	const taken = logged(running, "a gate agreed");
	fourth.response.writeHead(200).end();
	await taken;
	// In order: the answer is logged just before the outbox is written.
	await kill(running, "SIGTERM");
	const after = open();
	t.teardown(() => after.close());
	t.same(await after.pending(), [], "what a gate took is not sent again");
	t.equal(calls.length, 4);
});
