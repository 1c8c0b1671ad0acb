/**
 * The decision log: what of each access-log entry is recorded, and with whose unit; its records go into the queue
 * (decisionQueue.ts), which brings them into the store.
 */
import { ARMS_KNOWN_MAX, DECISION_QUEUE_MAX, PPM } from "../../limits.js";
import { type AccessLogEntry, answeredByEnvoy, type Heard } from "../accessLog/accessLogEntry.js";
import { asksLikeProbe, isOwnProbe } from "../accessLog/ownProbe.js";
import type { PlanReader } from "../accessLog/planReader.js";
import { sidecarAnswer } from "../accessLog/sidecarAnswer.js";
import { COUNTERS, GAUGES } from "../meter.js";
import { type Assigned, AssignmentChanges } from "./assignmentChanges.js";
import { type CalloutFault, calloutFaultOf } from "./calloutFault.js";
import { DecisionQueue, type DecisionQueueOptions } from "./decisionQueue.js";
import { type DecisionRecord, decisionIn, requestRecord } from "./decisionRecord.js";
import { DecisionUnits } from "./decisionUnits.js";
import { type ShadowChange, shadowIn } from "./shadow.js";

export interface DecisionLogOptions extends DecisionQueueOptions {
	readonly plans: PlanReader;
	/** Share of requests not denied that are recorded, in parts per million. Denied ones always are. */
	readonly allowedPpm: number;
}

export class DecisionLog {
	readonly #changes: AssignmentChanges;
	readonly #units: DecisionUnits;
	/** Where its records wait for the store. */
	readonly queue: DecisionQueue;
	#forgetting = false;

	constructor(
		private readonly options: DecisionLogOptions,
		queueMax: number = DECISION_QUEUE_MAX,
		armsMax: number = ARMS_KNOWN_MAX,
	) {
		this.queue = new DecisionQueue(options, queueMax);
		this.#units = new DecisionUnits(options.plans, options.store.pseudonyms);
		this.#changes = new AssignmentChanges((experiment) => this.#forgot(experiment), armsMax);
	}

	/** Learns from the store which arm units had last. Before the first entry. */
	async recall(): Promise<void> {
		await this.#changes.recall(this.options.store.decisions);
		await this.queue.recall();
	}

	/** Units whose arms it knows, each in every Experiment that it is in. */
	get knownUnits(): number {
		return this.#changes.size;
	}

	/** Experiments of which it knows the arms of units. */
	get experiments(): readonly string[] {
		return this.#changes.experiments;
	}

	/** These have ended, or are no more: nobody's assignment changes in them any more. */
	forget(experiments: readonly string[]): void {
		this.#changes.forget(experiments);
	}

	/** Takes the end entry of a request. `gateway`: as its stream says; null = it does not. */
	request(entry: AccessLogEntry, receivedMs: number, gateway: string | null): void {
		if (entry.metadataAt !== entry.metadataEnd) this.#shadow(entry, gateway);
		// The cheap question before the costly ones.
		if (!answeredByEnvoy(entry) && !this.#sampled(entry)) return;
		const decision = decisionIn(entry, gateway);
		if (decision.kind !== "denied") {
			if (this.#sampled(entry)) this.#withUnit(entry, decision, receivedMs);
		} else if (isOwnProbe(entry, decision)) {
			this.options.meter.count(COUNTERS.probes.name, COUNTERS.probes.help, { by: decision.by });
		} else {
			this.#faulted(calloutFaultOf(entry, decision), decision.gateway, receivedMs);
			this.#withUnit(entry, decision, receivedMs);
		}
	}

	#faulted(fault: CalloutFault | null, gateway: string | null, receivedMs: number): void {
		if (fault === null) return;
		const { meter } = this.options;
		const labels = { gateway: gateway ?? "", fault };
		meter.count(COUNTERS.calloutFaults.name, COUNTERS.calloutFaults.help, labels);
		meter.gauge(GAUGES.calloutFault.name, GAUGES.calloutFault.help, receivedMs / 1_000, labels);
	}

	/** Takes the assignment of an ended request, and records it where the unit's arm has changed. */
	assigned({ entry, receivedMs, gateway }: Heard, assigned: Assigned, variant: string | null): void {
		const change = this.#changes.see(assigned);
		if (change === null) return;
		const answer = sidecarAnswer(entry);
		this.queue.push({
			receivedMs,
			record: {
				...requestRecord(entry, gateway, answer),
				kind: "assignment-changed",
				verdict: null,
				reason: "assignment-changed",
				by: answer === null ? "envoy" : "sidecar",
				unit: assigned.unit,
				experiment: assigned.experiment,
				arm: assigned.arm,
				formerArm: change.formerArm,
				variant,
				plan: assigned.plan,
			},
		});
	}

	/** The same for the same request id, wherever it is asked; of a request without one, for when it began. */
	#sampled({ requestId, startUs }: AccessLogEntry): boolean {
		const { allowedPpm, store } = this.options;
		if (allowedPpm === 0) return false;
		return allowedPpm >= PPM || Number(store.pseudonyms.request(requestId || `${startUs}`) % BigInt(PPM)) < allowedPpm;
	}

	#shadow(entry: AccessLogEntry, gateway: string | null): void {
		const change: ShadowChange | null = shadowIn(entry);
		if (change === null) return;
		const record = requestRecord(entry, gateway, sidecarAnswer(entry));
		if (asksLikeProbe(record)) return;
		const { meter, plans } = this.options;
		meter.count(COUNTERS.shadows.name, COUNTERS.shadows.help, { change: change.change });
		const { plan, service } = record;
		const add = (): void => {
			const known = plan === null || service === null ? null : plans.known(plan)?.get(service);
			this.queue.addShadow(change, record, known?.triedRules ?? null);
		};
		// Without room to wait for the plan the count is right, and only says less.
		if (plan === null || plans.known(plan) !== null || this.queue.isFull) add();
		else this.queue.hold(plans.load(plan), add);
	}

	/** Adds the unit and its arm, for which the plan is needed, and queues the record. */
	#withUnit(entry: AccessLogEntry, record: DecisionRecord, receivedMs: number): void {
		const whole = this.#units.read(entry, record, receivedMs);
		if (typeof whole !== "string") {
			this.queue.push({ record: whole, receivedMs });
			return;
		}
		if (this.queue.isFull) {
			this.queue.drop(record);
			return;
		}
		const loading = this.#units.load(entry, record, receivedMs, whole);
		this.queue.hold(loading, (loaded) => this.queue.push({ record: loaded, receivedMs }));
	}

	#forgot(experiment: string): void {
		const { meter, log } = this.options;
		if (!this.#forgetting) log.warn("arms of units are forgotten for room: changes of assignments may go unrecorded");
		this.#forgetting = true;
		meter.count(COUNTERS.forgotten.name, COUNTERS.forgotten.help, { experiment });
	}
}
