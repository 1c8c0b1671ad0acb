/**
 * A sidecar, or one of its workers, that stood still answers by no table from before until control has answered; without control
 * by its last one.
 */

import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { SIDECAR_STALL_MS } from "../../../src/publish/sidecar/standstill.js";
import { type Action, startWoken, verdict } from "./wokenScene.js";

t.setTimeout(120_000);
t.jobs = 3;

const CONNECTIONS = 6;
const CALLS = 5;
const ROUNDS = 4;

/** How long its processes are stopped in these tests; their clocks move further. The last test waits for a real standstill. */
const STOP_MS = 300;
const STANDSTILL_MS = SIDECAR_STALL_MS + 500;

/** How far the clocks move. In a suspend no table becomes too old. */
const STANDSTILLS: readonly (readonly [what: string, wallMs: number, monotonicMs: number])[] = [
	["a standstill", STANDSTILL_MS, STANDSTILL_MS],
	["a suspend", 20_000, 0],
];

for (const workers of [1, 2]) {
	for (const [what, wallMs, monotonicMs] of STANDSTILLS)
		t.test(
			`${workers === 1 ? "one process" : "workers"}: after ${what} answers are by the table that came meanwhile`,
			async (t) => {
				const { sidecar, answering, give, connect, ahead } = await startWoken(t, workers);
				const all = [...new Set([sidecar.pid, ...answering])];
				for (let round = 0; round < ROUNDS; round++) {
					const clients = connect(CONNECTIONS);
					const [before, now]: readonly [Action, Action] = round % 2 === 0 ? ["allow", "deny"] : ["deny", "allow"];
					t.same(new Set(await Promise.all(clients.map(verdict))), new Set([before]));
					for (const pid of all) process.kill(pid, "SIGSTOP");
					give(now);
					const calls = Array.from({ length: CALLS }, () => clients.map(verdict)).flat();
					await pause(STOP_MS);
					await ahead(wallMs, monotonicMs);
					for (const pid of round < 2 ? all : all.toReversed()) process.kill(pid, "SIGCONT");
					const verdicts = await Promise.all(calls);
					t.notOk(verdicts.includes(before), `${verdicts.filter((one) => one === before).length} by an older table`);
					for (;;) {
						const again = await Promise.all(clients.map(verdict));
						t.notOk(again.includes(before));
						if (again.every((one) => one === now)) break;
					}
				}
				t.match(sidecar.log(), /stood still/);
				t.equal(await sidecar.end("SIGTERM"), 0);
			},
		);

	t.test(`${workers === 1 ? "one process" : "workers"}: without control the last table stays in force`, async (t) => {
		const { server, sidecar, answering, connect, ahead } = await startWoken(t, workers);
		const clients = connect(CONNECTIONS);
		t.same(new Set(await Promise.all(clients.map(verdict))), new Set(["allow"]));
		await server.close();
		const all = [...new Set([sidecar.pid, ...answering])];
		for (const pid of all) process.kill(pid, "SIGSTOP");
		const waiting = clients.map(verdict);
		await ahead(STANDSTILL_MS, STANDSTILL_MS);
		for (const pid of all) process.kill(pid, "SIGCONT");
		t.notOk((await Promise.all(waiting)).includes("deny"));
		for (;;) {
			const again = await Promise.all(clients.map(verdict));
			t.notOk(again.includes("deny"));
			if (again.every((one) => one === "allow")) break;
			await pause(50);
		}
		t.match(sidecar.log(), /stood still/);
		t.equal(await sidecar.end("SIGTERM"), 0);
	});
}

t.test("an acknowledged table is in force at every worker, and a hung worker delays the acknowledgement", async (t) => {
	const { server, sidecar, answering, publish, give, connect } = await startWoken(t, 2);
	const clients = connect(CONNECTIONS);
	const verdicts = async (): Promise<Set<string>> => new Set(await Promise.all(clients.map(verdict)));
	for (const action of ["deny", "allow"] as const) {
		await publish(action);
		t.same(await verdicts(), new Set([action]));
	}
	let isAcknowledged = false;
	const stop = server.onAcknowledged(() => {
		isAcknowledged = true;
	});
	t.teardown(stop);
	const [hangs = 0] = answering;
	process.kill(hangs, "SIGSTOP");
	give("deny");
	while ((await Promise.any(clients.map(verdict))) !== "deny");
	const calls = clients.map(verdict);
	await pause(STANDSTILL_MS);
	t.notOk(isAcknowledged);
	const acknowledged = new Promise<void>((resolve) => {
		const stop = server.onAcknowledged(() => {
			stop();
			resolve();
		});
	});
	process.kill(hangs, "SIGCONT");
	t.notOk((await Promise.all(calls)).includes("allow"));
	await acknowledged;
	for (;;) {
		const again = await verdicts();
		t.notOk(again.has("allow"));
		if (!again.has("stale")) break;
	}
	t.equal(await sidecar.end("SIGTERM"), 0);
});
