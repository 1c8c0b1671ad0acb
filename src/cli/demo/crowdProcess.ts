/** The crowd (crowd.ts) as a process of its own, so that its load does not delay the demo's timeline. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { WeirError } from "../../error.js";
import type { DemoService } from "./modes.js";
import type { Pace } from "./pace.js";

export interface CrowdOrders {
	readonly gatewayPort: number;
	/** `https://127.0.0.1:PORT` */
	readonly api: string;
	readonly services: readonly DemoService[];
	/** UNIX sockets of the identities. */
	readonly app: string;
	readonly labels: string;
	readonly outsider: string;
	/** SPIFFE ids of the servers. */
	readonly envoyId: string;
	readonly controlId: string;
}

/** Sent to the parent four times a second. */
export interface CrowdCount {
	readonly requests: number;
	/** Non-2xx, resets, timeouts and missing answers of clients with rights. */
	readonly failed: number;
	/** Requests of the client without rights that were refused, and that were not. */
	readonly denied: number;
	readonly notDenied: number;
	/** Answers from a Variant that is not the person's arm, or of a person who changed arm. */
	readonly assignmentMismatches: number;
	readonly outcomesPosted: number;
	readonly outcomesRefused: number;
	readonly inFlight: number;
	/** People who did not come, because too many waited already. */
	readonly stayedAway: number;
	readonly firstFailure: string | null;
	/** 90th percentile of the latency of the first variants' answers in the last second, in ms. */
	readonly p90Ms: number;
	/** Share of the planned people who come. */
	readonly share: number;
	readonly stage: Pace["stage"];
}

export const NO_COUNT: CrowdCount = {
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
	let latest = NO_COUNT;
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
