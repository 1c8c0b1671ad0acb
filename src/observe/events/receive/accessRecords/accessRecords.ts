/** Makes the access records of each ended request, and queues them for the store (accessRecordQueue.ts). */
import { isOpen } from "../../../../compile/access/rules/policy.js";
import { ACCESS_RECORD_QUEUE_MAX, ARMS_KNOWN_MAX, PPM } from "../../../../limits/index.js";
import { COUNTERS, GAUGES } from "../../meter.js";
import type { AccessLogEntry } from "../accessLog/accessLogEntry.js";
import { answeredByEnvoy } from "../accessLog/responseFlags.js";
import { sidecarJudged } from "../accessLog/sidecarAnswer.js";
import type { EndedRequest } from "../requests/intake.js";
import type { ReadableService } from "../requests/planReader.js";
import { type AccessRecord, accessRecordIn, requestRecord } from "./accessRecord.js";
import { AccessRecordQueue, type AccessRecordQueueOptions } from "./accessRecordQueue.js";
import { AssignmentChanges } from "./assignmentChanges.js";
import { calloutFaultOf } from "./calloutFault.js";
import { asksLikeProbe, isOwnProbe } from "./ownProbe.js";
import { shadowIn } from "./shadow.js";

export interface AccessRecordsOptions extends AccessRecordQueueOptions {
	/** Share of requests not denied that are recorded, in parts per million. Denied ones are always recorded. */
	readonly allowedPpm: number;
}

export class AccessRecords {
	readonly #changes: AssignmentChanges;
	/** Records that wait for the store. */
	readonly queue: AccessRecordQueue;

	constructor(
		private readonly options: AccessRecordsOptions,
		queueMax: number = ACCESS_RECORD_QUEUE_MAX,
		armsMax: number = ARMS_KNOWN_MAX,
	) {
		this.queue = new AccessRecordQueue(options, queueMax);
		this.#changes = new AssignmentChanges(armsMax);
	}

	/** Reads the last known arms of units from the store. Call it before the first entry. */
	async recall(): Promise<void> {
		await this.#changes.recall(this.options.store.accessRecords);
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
			log.error("an access record could not be made", { error: String(thrown) });
		}
	}

	#record(request: EndedRequest): void {
		const { entry, receivedMs, gateway, service, row } = request;
		this.#shadow(request);
		this.#change(request);
		// Cheap check before the costly ones.
		if (!answeredByEnvoy(entry) && !this.#sampled(entry)) return;
		const record = accessRecordIn(entry, gateway);
		const whole = row === null ? {} : unitOf(row);
		if (record.kind !== "denied") {
			if (this.#sampled(entry))
				this.queue.push({ receivedMs, record: { ...allowedBy(service, entry, record), ...whole } });
		} else if (isOwnProbe(entry, record)) {
			this.options.meter.count(COUNTERS.probes.name, COUNTERS.probes.help, { by: record.by });
		} else {
			this.#faulted(entry, record, receivedMs);
			this.queue.push({ receivedMs, record: { ...record, ...whole } });
		}
	}

	#faulted(entry: AccessLogEntry, record: AccessRecord, receivedMs: number): void {
		const fault = calloutFaultOf(entry, record);
		if (fault === null) return;
		const { meter } = this.options;
		const labels = { gateway: record.gateway ?? "", fault };
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
export function allowedBy<Allowed extends Pick<AccessRecord, "by" | "reason"> & { readonly kind: string }>(
	service: ReadableService | null,
	entry: AccessLogEntry,
	verdict: Allowed,
): Allowed {
	if (verdict.kind !== "allowed" || service === null) return verdict;
	const { access, callout } = service;
	if (verdict.by === "sidecar" && sidecarJudged(callout, entry.sidecar)) return verdict;
	return { ...verdict, by: "envoy", reason: isOpen(access) ? "open" : "allowed" };
}
