/** The crowd (crowd.ts) as a process of its own, so that its load does not delay the demo's timeline. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { WeirError } from "../../error.js";
import type { CrowdCount, CrowdOrders } from "./crowd.js";

export interface Crowd {
	count(): CrowdCount;
	/** No more people come from now on; resolves with their share. */
	settle(): Promise<number>;
	/** Waits for the answers under way; what never came counts as failed. */
	stop(): Promise<CrowdCount>;
	kill(): void;
}

export function startCrowd(orders: CrowdOrders): Crowd {
	const child = fork(fileURLToPath(new URL("crowd.js", import.meta.url)));
	let latest: CrowdCount = {
		requests: 0,
		failed: 0,
		denied: 0,
		notDenied: 0,
		assignmentMismatches: 0,
		outcomesPosted: 0,
		outcomesRefused: 0,
		inFlight: 0,
		stayedAway: 0,
		firstFailure: null,
		p90Ms: 0,
		share: 0,
		stage: "warming",
	};
	const done = new Promise<CrowdCount>((resolve, reject) => {
		child.on("message", (message: { count: CrowdCount; done?: true }) => {
			latest = message.count;
			if (message.done) resolve(message.count);
		});
		child.once("exit", (code) => reject(new WeirError("internal", `the crowd ended early (exit ${code})`)));
	});
	done.catch(() => {}); // seen by stop()
	child.send({ start: orders });
	return {
		count: () => latest,
		settle: async () => {
			child.send({ settle: true });
			while (latest.stage !== "settled") await Promise.race([once(child, "message"), done]);
			return latest.share;
		},
		stop: () => {
			child.send({ stop: true });
			return done;
		},
		kill: () => child.kill("SIGKILL"),
	};
}
