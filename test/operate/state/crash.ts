/** Repeated kill -9 during a stream of applies, decisions and plans over real sockets, for the fast and for the long tier. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import type { Store } from "../../../src/operate/state/store/store.js";
import { ALL, file, METRIC, outcome, temporaryDirectory } from "../employment.js";

interface Running {
	readonly child: ChildProcess;
	readonly api: ApiClient;
	readonly state: RemoteStore;
}

type RemoteStore = Pick<Store, "state" | "decide" | "keepPlan" | "plan">;

/** Calls of the Store in that process; they fail once it is gone. */
function remoteStore(child: ChildProcess): RemoteStore {
	let last = 0;
	const call =
		(method: keyof RemoteStore) =>
		(...parameters: unknown[]): Promise<never> =>
			new Promise((resolve, reject) => {
				const id = ++last;
				const gone = (): void => reject(new Error("the process is gone"));
				const answered = (answer: { id: number; value?: never; error?: string }): void => {
					if (answer.id !== id) return;
					child.off("message", answered).off("exit", gone);
					if (answer.error === undefined) resolve(answer.value as never);
					else reject(new Error(answer.error));
				};
				child.on("message", answered).once("exit", gone);
				child.send({ id, method, parameters }, (error) => error !== null && reject(error));
			});
	return { state: call("state"), decide: call("decide"), keepPlan: call("keepPlan"), plan: call("plan") };
}

async function start(directory: string): Promise<Running> {
	const script = fileURLToPath(new URL("../api/apiProcess.js", import.meta.url));
	const child = fork(script, [directory], { stdio: ["ignore", "pipe", "inherit", "ipc"] });
	if (child.stdout === null) throw new Error("no output");
	const [line] = (await once(createInterface(child.stdout), "line")) as [string];
	const api = new ApiClient(line.replace("READY ", ""));
	return { child, api, state: remoteStore(child) };
}

async function kill({ child }: Running): Promise<void> {
	const ended = once(child, "exit");
	child.kill("SIGKILL");
	await ended;
}

/** Repeats until the process is gone; what throws before that is a failure of the test. */
async function untilKilled(isKilled: () => boolean, step: (turn: number) => Promise<void>): Promise<void> {
	for (let turn = 0; ; turn++) {
		try {
			await step(turn);
		} catch (error) {
			if (isKilled()) return;
			throw error;
		}
	}
}

/** Acknowledged changes are stored, and none is half applied. @param rounds number of kills */
export async function surviveKills(t: Test, rounds: number): Promise<void> {
	const directory = temporaryDirectory(t);
	const acknowledged = { pairs: new Set<string>(), plans: new Set<string>(), decisions: 0, revision: 0 };
	let running = await start(directory);
	t.teardown(() => running.child.kill("SIGKILL"));
	t.match(await running.api.apply(file(ALL), { dryRun: false }), { outcome: "applied" });

	for (let round = 0; round < rounds; round++) {
		const { api, state } = running;
		let killed = false;
		const before = acknowledged.decisions + acknowledged.pairs.size;
		const apply = async (turn: number) => {
			const pair = `r${round}-${turn}`;
			const text = [`${pair}-a`, `${pair}-b`].map((name) => METRIC.replaceAll("accuracy", name)).join("---\n");
			const answer = await api.apply(file(text), { dryRun: false });
			if (answer.outcome !== "applied") throw new Error("refused");
			acknowledged.pairs.add(pair);
			acknowledged.revision = Math.max(acknowledged.revision, answer.revision);
		};
		const decide = async () => {
			const now = await state.state(-1, 0);
			const status = now?.status.experiments.boosted;
			if (now === null || status === undefined) throw new Error("no status");
			const next = { ...status, allocationPpm: status.allocationPpm + 1 };
			const made = await state.decide({
				experiment: "boosted",
				expectedRevision: now.revision,
				by: "weir",
				atMs: 1,
				input: null,
				outcome: outcome(next, { defaultVariant: next.allocationPpm % 2 === 0 ? "v1" : "v2" }),
			});
			acknowledged.decisions = Math.max(acknowledged.decisions, made.decision.sequence);
			acknowledged.revision = Math.max(acknowledged.revision, made.revision);
		};
		const streams = [
			untilKilled(
				() => killed,
				// Mostly decisions, one after the other: two writers at once would only make conflicts.
				(turn) => (turn % 5 === 0 ? apply(turn) : decide()),
			),
			untilKilled(
				() => killed,
				async (turn) => {
					const version = `plan-${round}-${turn}`;
					await state.keepPlan(version, { gateways: [], services: [] });
					acknowledged.plans.add(version);
				},
			),
		];
		// The moment varies: after a number of acknowledgements, and then somewhere inside the next one.
		while (acknowledged.decisions + acknowledged.pairs.size < before + 8 + 4 * (round % 10)) {
			await new Promise((resolve) => setTimeout(resolve, 2));
		}
		await new Promise((resolve) => setTimeout(resolve, 20 * Math.random()));
		killed = true;
		await kill(running);
		await Promise.all(streams);

		running = await start(directory);
		const after = await running.state.state(-1, 0);
		if (after === null) throw new Error("no state");
		const names = new Set(after.resources.metrics.map((metric) => metric.metadata.name));
		const lost = [...acknowledged.pairs].filter((pair) => !names.has(`${pair}-a`));
		t.same(lost, [], `round ${round}: ${acknowledged.pairs.size} applies are there`);
		const half = [...names].filter((name) => /-[ab]$/.test(name) && !names.has(other(name)));
		t.same(half, [], "no apply is there by half");
		t.ok(after.revision >= acknowledged.revision, "the revision never goes back");

		const decisions = [];
		for await (const decision of running.api.allDecisions("boosted")) decisions.push(decision);
		t.ok(decisions.length >= acknowledged.decisions, `round ${round}: ${acknowledged.decisions} decisions are there`);
		t.same(
			decisions.map((decision) => decision.sequence),
			decisions.map((_, index) => index + 1),
			"numbered without a gap",
		);
		const allocationPpm = after.status.experiments.boosted?.allocationPpm ?? 0;
		t.equal(decisions.at(-1)?.outcome.status.allocationPpm, allocationPpm, "status and last decision agree");
		const live = after.status.services.employment?.defaultVariant ?? "v1";
		if (decisions.length > 1) t.equal(live, allocationPpm % 2 === 0 ? "v1" : "v2", "and so does the default variant");
		const plans = await Promise.all([...acknowledged.plans].slice(-50).map((version) => running.state.plan(version)));
		t.notOk(plans.includes(null), "plans are there");
	}
	await kill(running);
}

function other(name: string): string {
	return name.replace(/[ab]$/, (end) => (end === "a" ? "b" : "a"));
}
