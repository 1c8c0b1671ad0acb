/** Makes the decision records of each ended request, and queues them for the store (decisionQueue.ts). */
import { isOpen } from "../../../compile/access/rules/policy.js";
import { ARMS_KNOWN_MAX, DECISION_QUEUE_MAX, PPM } from "../../../limits/index.js";
import type { AccessLogEntry } from "../accessLog/accessLogEntry.js";
import { asksLikeProbe, isOwnProbe } from "../accessLog/ownProbe.js";
import type { ReadableService } from "../accessLog/planReader.js";
import { answeredByEnvoy } from "../accessLog/responseFlags.js";
import { sidecarJudged } from "../accessLog/sidecarAnswer.js";
import type { EndedRequest } from "../intake.js";
import { COUNTERS, GAUGES } from "../meter.js";
import { AssignmentChanges } from "./assignmentChanges.js";
import { calloutFaultOf } from "./calloutFault.js";
import { DecisionQueue, type DecisionQueueOptions } from "./decisionQueue.js";
import { type DecisionRecord, decisionIn, requestRecord } from "./decisionRecord.js";
import { shadowIn } from "./shadow.js";

export interface DecisionLogOptions extends DecisionQueueOptions {
	/** Share of requests not denied that are recorded, in parts per million. Denied ones are always recorded. */
	readonly allowedPpm: number;
}

export class DecisionLog {
	readonly #changes: AssignmentChanges;
	/** Records that wait for the store. */
	readonly queue: DecisionQueue;

	constructor(
		private readonly options: DecisionLogOptions,
		queueMax: number = DECISION_QUEUE_MAX,
		armsMax: number = ARMS_KNOWN_MAX,
	) {
		this.queue = new DecisionQueue(options, queueMax);
		this.#changes = new AssignmentChanges(armsMax);
	}

	/** Reads the last known arms of units from the store. Call it before the first entry. */
	async recall(): Promise<void> {
		await this.#changes.recall(this.options.store.decisions);
		await this.queue.recall();
	}

	/** The log must never harm evidence: an entry that fails to make a record is counted. */
	ended(request: EndedRequest): void {
		try {
			this.#record(request);
		} catch (thrown) {
			const { meter, log } = this.options;
			meter.count(COUNTERS.decisions.name, COUNTERS.decisions.help, { kind: "unreadable", result: "dropped" });
			this.queue.lost(1);
			log.error("a decision record could not be made", { error: String(thrown) });
		}
	}

	#record(request: EndedRequest): void {
		const { entry, receivedMs, gateway, service, row } = request;
		this.#shadow(request);
		this.#change(request);
		// Cheap check before the costly ones.
		if (!answeredByEnvoy(entry) && !this.#sampled(entry)) return;
		const decision = decisionIn(entry, gateway);
		const whole = row === null ? {} : unitOf(row);
		if (decision.kind !== "denied") {
			if (this.#sampled(entry))
				this.queue.push({ receivedMs, record: { ...allowedBy(service, entry, decision), ...whole } });
		} else if (isOwnProbe(entry, decision)) {
			this.options.meter.count(COUNTERS.probes.name, COUNTERS.probes.help, { by: decision.by });
		} else {
			this.#faulted(entry, decision, receivedMs);
			this.queue.push({ receivedMs, record: { ...decision, ...whole } });
		}
	}

	#faulted(entry: AccessLogEntry, decision: DecisionRecord, receivedMs: number): void {
		const fault = calloutFaultOf(entry, decision);
		if (fault === null) return;
		const { meter } = this.options;
		const labels = { gateway: decision.gateway ?? "", fault };
		meter.count(COUNTERS.calloutFaults.name, COUNTERS.calloutFaults.help, labels);
		meter.gauge(GAUGES.calloutFault.name, GAUGES.calloutFault.help, receivedMs / 1_000, labels);
	}

	/** Records the request's assignment if its unit's arm has changed. */
	#change({ entry, receivedMs, gateway, row }: EndedRequest): void {
		if (row === null || row.refused || row.row.experiment === null || row.row.unit === null) return;
		const { experiment, unit, startUs, assigned } = row.row;
		const change = this.#changes.see({ experiment, unit, arm: assigned, plan: row.plan, startUs });
		if (change === null) return;
		this.queue.push({
			receivedMs,
			record: {
				...requestRecord(entry, gateway, entry.sidecar),
				kind: "assignment-changed",
				reason: "assignment-changed",
				by: entry.sidecar === null ? "envoy" : "sidecar",
				...unitOf(row),
				formerArm: change.formerArm,
				plan: row.plan,
			},
		});
	}

	/** Sampling by request id, the same in every process; by start time for a request without an id. */
	#sampled({ requestId, startUs }: AccessLogEntry): boolean {
		const { allowedPpm, store } = this.options;
		if (allowedPpm === 0) return false;
		return allowedPpm >= PPM || Number(store.pseudonyms.request(requestId || `${startUs}`) % BigInt(PPM)) < allowedPpm;
	}

	#shadow({ entry, gateway, service }: EndedRequest): void {
		const change = shadowIn(entry);
		if (change === null) return;
		const record = requestRecord(entry, gateway, entry.sidecar);
		if (asksLikeProbe(record)) return;
		const { meter } = this.options;
		meter.count(COUNTERS.shadows.name, COUNTERS.shadows.help, { change: change.change });
		this.queue.addShadow(change, record, service?.triedRules ?? null);
	}
}

const unitOf = ({ row: { unit, experiment, assigned, variant } }: NonNullable<EndedRequest["row"]>) => ({
	...{ unit, experiment, variant },
	arm: assigned,
});

/** The component that allowed the request: the plan shows what the sidecar was asked, and whether any rule applied. */
export function allowedBy<Allowed extends Pick<DecisionRecord, "by" | "reason"> & { readonly kind: string }>(
	service: ReadableService | null,
	entry: AccessLogEntry,
	verdict: Allowed,
): Allowed {
	if (verdict.kind !== "allowed" || service === null) return verdict;
	const { access, callout } = service;
	if (verdict.by === "sidecar" && sidecarJudged(callout, entry.sidecar)) return verdict;
	return { ...verdict, by: "envoy", reason: isOpen(access) ? "open" : "allowed" };
}
