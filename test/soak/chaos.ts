/** Kills the sidecar with SIGKILL at random moments under steady traffic on all Services, until stopped. */
import { setTimeout as pause } from "node:timers/promises";
import type { Test } from "tap";
import type { CalloutProtocol } from "../../src/compile/plan/compiledPlan.js";
import { Matrix } from "../failure/matrix.js";
import { startSidecarChild } from "../failure/sidecarChild.js";
import { CALLERS, SERVICES, startStage } from "../failure/stage.js";
import { flood } from "./flood.js";
import { Tally } from "./tally.js";

export interface ChaosOptions {
	readonly protocol: CalloutProtocol;
	readonly forMs: number;
	readonly open: number;
	readonly betweenMs?: number;
}

export async function chaos(t: Test, { protocol, forMs, open, betweenMs = 0 }: ChaosOptions): Promise<void> {
	const stage = await startStage(t, protocol, { timeoutMs: 300 });
	const start = () => startSidecarChild(t, { arguments: ["--table", stage.tableFile, "--socket", stage.socketPath] });
	let sidecar = await start();
	const tally = new Tally(stage);
	const untilMs = performance.now() + forMs;
	let sent = 0;
	const traffic = flood({
		connect: (who) => stage.connect(who),
		open,
		betweenMs,
		next: () => {
			if (performance.now() >= untilMs) return null;
			const number = sent++;
			const service = SERVICES[number % SERVICES.length] ?? "guarded";
			return { service, who: service === "guarded" ? (CALLERS[Math.floor(number / 3) % 2] ?? "mallory") : "alice" };
		},
		answered: (answer) => tally.add(answer),
	});
	let kills = 0;
	while (performance.now() < untilMs - 500) {
		// A moment of the load's own choosing.
		await pause(50 + Math.random() * 700);
		if (Math.random() < 0.3) sidecar.child.kill("SIGSTOP");
		await pause(Math.random() * 50);
		await sidecar.end("SIGKILL");
		kills++;
		sidecar = await start();
	}
	await traffic;
	t.comment(`${protocol}: ${kills} kills, ${sent} requests: ${tally.text()}`);
	t.same(tally.broken(), [], "no denied client passed, and nothing else broke");
	t.ok(kills > 1);
	t.ok(tally.count("guarded alice 200") > 0, "it served between the kills");
	t.ok(tally.count("guarded alice 503") > 0, "and failed closed around them");
	t.ok(tally.count("assigned alice 200 v1") > 0, "the default Variant stepped in");
	await new Matrix(stage, protocol).works(t, "afterwards");
	t.ok(tally.slowestMs < 2_500, `the slowest answer took ${Math.round(tally.slowestMs)} ms`);
}
