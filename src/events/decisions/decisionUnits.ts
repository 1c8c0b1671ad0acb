/** Whose unit a decision was about, and its arm, and who let its request through: the plan that the request went by says it. */
import { isOpen } from "../../access/rules/policy.js";
import { parseRouteName } from "../../compiler/plan.js";
import type { AccessLogEntry } from "../accessLog/accessLogEntry.js";
import { readEntry } from "../accessLog/entryReader.js";
import type { PlanReader, ReadableService } from "../accessLog/planReader.js";
import { sidecarAnswer, sidecarJudged } from "../accessLog/sidecarAnswer.js";
import type { EventStore } from "../store/store.js";
import type { DecisionRecord } from "./decisionRecord.js";

export class DecisionUnits {
	constructor(
		private readonly plans: PlanReader,
		private readonly pseudonyms: EventStore["pseudonyms"],
	) {}

	/** @returns the record with its unit and arm, or the version of a plan that is not at hand, where it needs one */
	read(entry: AccessLogEntry, record: DecisionRecord, receivedMs: number): DecisionRecord | string {
		const route = parseRouteName(entry.routeName);
		if (route === null) return record;
		const { plans, pseudonyms } = this;
		const plan = plans.known(route.version);
		if (plan === null) return route.version;
		const told = allowedBy(plan.get(route.service), entry, record);
		const context = { plan: (version: string) => plans.known(version), pseudonyms };
		const reading = readEntry(entry, route, plan, context, receivedMs);
		if (reading.kind === "plan-missing") return reading.version;
		if (reading.kind !== "row") return told;
		const { unit, experiment, assigned, variant } = reading.row;
		return { ...told, unit, experiment, arm: assigned, variant };
	}

	/**
	 * The same where that plan must be asked for. The route's may be missing, and then the one that the sidecar answered by; without
	 * them the unit stays unknown.
	 * @param first what read() has said
	 */
	async load(
		entry: AccessLogEntry,
		record: DecisionRecord,
		receivedMs: number,
		first: string,
	): Promise<DecisionRecord> {
		await this.plans.load(first);
		const second = this.read(entry, record, receivedMs);
		if (typeof second !== "string") return second;
		if (second === first) return record;
		await this.plans.load(second);
		const third = this.read(entry, record, receivedMs);
		return typeof third === "string" ? record : third;
	}
}

/** Who has let it through: the plan says what the sidecar was asked for, and whether there was anything to judge. */
function allowedBy(
	service: ReadableService | undefined,
	entry: AccessLogEntry,
	record: DecisionRecord,
): DecisionRecord {
	if (record.kind !== "allowed" || service === undefined) return record;
	const { access, callout } = service;
	if (record.by === "sidecar" && sidecarJudged(callout, sidecarAnswer(entry))) return record;
	// In the sidecar's words.
	return { ...record, by: "envoy", reason: access !== null && isOpen(access) ? "open" : "allowed" };
}
