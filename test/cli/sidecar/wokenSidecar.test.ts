/**
 * A sidecar, or one of its workers, that stood still answers by no table from before until control has answered; without control
 * by its last one.
 */

import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { SIDECAR_STALL_MS } from "../../../src/publish/sidecar/standstill.js";
import { type Action, startWoken, verdict } from "./wokenScene.js";

t.setTimeout(120_000);

const CONNECTIONS = 6;
const CALLS = 5;
const ROUNDS = 4;

/** In a suspend the monotonic clock stands still with the processes. No table becomes too old. */
const STANDSTILLS: readonly (readonly [string, { readonly stopMs: number; readonly aheadMs: number }])[] = [
	["a standstill", { stopMs: SIDECAR_STALL_MS + 500, aheadMs: 0 }],
	["a suspend", { stopMs: 300, aheadMs: 20_000 }],
];

for (const workers of [1, 2]) {
	for (const [what, { stopMs, aheadMs }] of STANDSTILLS)
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
					await pause(stopMs);
					await ahead((round + 1) * aheadMs);
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
		const { server, sidecar, answering, connect } = await startWoken(t, workers);
		const clients = connect(CONNECTIONS);
		t.same(new Set(await Promise.all(clients.map(verdict))), new Set(["allow"]));
		await server.close();
		for (const pid of answering) process.kill(pid, "SIGSTOP");
		const waiting = clients.map(verdict);
		await pause(SIDECAR_STALL_MS + 500);
		for (const pid of answering) process.kill(pid, "SIGCONT");
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
	await pause(SIDECAR_STALL_MS + 500);
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
