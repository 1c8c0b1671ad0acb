/** Commit failures of one kind (such as a full disk): a gauge, one log line a minute, and an error for waiting callers. */
import { dirname } from "node:path";
import { WeirError } from "../../../error.js";
import { COMMIT_FAULTS_LOGGED_MS } from "../../../limits/index.js";
import { ReportThrottle } from "../../../trust/clients/reportThrottle.js";
import { DISK_FULL, failedOnFullDisk } from "../../../trust/local/diskFault.js";
import { GAUGES, type Log, type Meter } from "../meter.js";
import type { EventStore } from "../store/store.js";

export interface CommitFaultsOptions {
	readonly store: Pick<EventStore, "path">;
	readonly clock: () => number;
	readonly meter: Meter;
	readonly log: Log;
}

export class CommitFaults {
	#last: unknown = null;
	#failing = false;
	readonly #throttle: ReportThrottle<"failed">;

	/** @param what is committed, as in "access-log entries" */
	constructor(
		private readonly what: string,
		private readonly options: CommitFaultsOptions,
	) {
		this.#throttle = new ReportThrottle((_, times) => {
			const error = { error: String(this.#last), times: String(times) };
			this.options.log.error(`${this.what} could not be committed`, error);
		}, COMMIT_FAULTS_LOGGED_MS);
	}

	/** Whether the last commit failed. */
	get failing(): boolean {
		return this.#failing;
	}

	/** @returns the error for waiting callers */
	failed(thrown: unknown): WeirError {
		this.#last = thrown;
		const { store, clock } = this.options;
		const diskFull = failedOnFullDisk(thrown, dirname(store.path));
		this.#failing = true;
		this.#gauge("disk-full", diskFull ? clock() / 1_000 : 0);
		this.#gauge("other", diskFull ? 0 : clock() / 1_000);
		this.#throttle.add("failed");
		return new WeirError(
			"unavailable",
			`the event store did not take the ${this.what}${diskFull ? `: ${DISK_FULL}` : ""}`,
			diskFull ? "" : "see ingest's log",
			{ cause: thrown },
		);
	}

	succeeded(): void {
		if (!this.#failing) return;
		this.#failing = false;
		for (const reason of ["disk-full", "other"] as const) this.#gauge(reason, 0);
	}

	/** Logs failures that are not logged yet. */
	close(): void {
		this.#throttle.close();
	}

	#gauge(reason: "disk-full" | "other", value: number): void {
		const { name, help } = GAUGES.commitFailed;
		this.options.meter.gauge(name, help, value, { of: this.what, reason });
	}
}
