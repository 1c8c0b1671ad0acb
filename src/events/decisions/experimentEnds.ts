/**
 * Ends of Experiments in the decision log. Who comes afterwards carries no Experiment: the route names none, and Envoy no
 * longer tells the header of the unit. So nobody's own next request could show the change, and all people of an arm have
 * one record together, as soon as the end is noticed.
 */
import { DECISIONS_KEPT_MS } from "../../limits.js";
import type { ExperimentEnd } from "../../rollout/experimentEnd.js";
import type { Log } from "../meter.js";
import { NO_ARM } from "../store/rowAppend.js";
import type { EventStore } from "../store/store.js";
import type { DecisionLog } from "./decisionLog.js";
import { type DecisionRecord, NOTHING_ELSE } from "./decisionRecord.js";

/**
 * @param service of its requests, as far as the store knows; null = it does not
 * @returns null = it has not ended, or nobody knows it
 */
export type EndOf = (experiment: string, service: string | null) => Promise<ExperimentEnd | null>;

export interface ExperimentEndsOptions {
	readonly store: EventStore;
	readonly decisions: DecisionLog;
	readonly endOf: EndOf;
	/** Resolves when what was heard of requests is in the store. */
	readonly heard: () => Promise<void>;
	readonly clock: () => number;
	readonly log: Log;
}

export class ExperimentEnds {
	#tail: Promise<void> = Promise.resolve();
	/** Of which the store had units at the start, and which have not been told of since. */
	readonly #recalled = new Set<string>();

	constructor(private readonly options: ExperimentEndsOptions) {}

	/**
	 * Learns from the store of which Experiments it has units, however many rows of others lie before them: the decision log recalls
	 * the newest requests alone. Before the first call of `forget`.
	 */
	async recall(): Promise<void> {
		const rows = await this.options.store.questions.transaction((transaction) =>
			transaction.rows(
				"SELECT experiment FROM units UNION SELECT experiment FROM entries WHERE assigned IS NOT NULL AND experiment IS NOT NULL",
			),
		);
		for (const { experiment } of rows) this.#recalled.add(String(experiment));
	}

	/** Experiments of which the decision log knows the arms of units, or the store did at the start. */
	get experiments(): readonly string[] {
		return [...new Set([...this.#recalled, ...this.options.decisions.experiments])];
	}

	/**
	 * Records the end of each that has ended and is not told of yet, and lets the decision log forget its units. Never rejects:
	 * what could not be recorded stays known, for the next call.
	 */
	forget(experiments: readonly string[]): Promise<void> {
		const { decisions, log } = this.options;
		// One after the other, so that no end is told twice.
		this.#tail = this.#tail.then(async () => {
			for (const experiment of experiments) {
				try {
					await this.#tell(experiment);
					decisions.forget([experiment]);
					this.#recalled.delete(experiment);
				} catch (thrown) {
					log.error("the end of an Experiment could not be recorded", { experiment, error: String(thrown) });
				}
			}
		});
		return this.#tail;
	}

	async #tell(experiment: string): Promise<void> {
		const { store, decisions, endOf, heard, clock } = this.options;
		// First what costs no scan: after a start all that ended long ago are asked for.
		let end = await endOf(experiment, null);
		// The log has told of it and lost the record by its age: requests may be kept for longer.
		if (end === null || end.atMs < clock() - DECISIONS_KEPT_MS) return;
		await heard();
		// What waits may be this end, and is a change that the count is about.
		await decisions.queue.flush();
		if (end.service === null) {
			const [named] = await store.questions.transaction((transaction) =>
				transaction.rows("SELECT service FROM entries WHERE experiment = $experiment LIMIT 1", { experiment }),
			);
			if (named !== undefined) end = (await endOf(experiment, String(named.service))) ?? end;
		}
		const people = await this.#untold(experiment, end);
		if (people.length > 0)
			await decisions.queue.always(people.map(([arm, count]) => recordOf(experiment, end, arm, count)));
	}

	/**
	 * Arms of all who were ever seen in it, by the newest that the store tells of each; those without an arm got the
	 * default Variant before, too.
	 * @returns empty where the end is recorded
	 */
	async #untold(experiment: string, { decision }: ExperimentEnd): Promise<readonly [string, number][]> {
		const { questions } = this.options.store;
		return questions.transaction(async (transaction) => {
			const told = await transaction.rows(
				"SELECT 1 FROM decisions WHERE experiment = $experiment AND decision = $decision LIMIT 1",
				{ experiment, decision: BigInt(decision) },
			);
			if (told.length > 0) return [];
			const rows = await transaction.rows(
				`SELECT arm, count(*) AS people FROM (SELECT arg_max(arm, at_us) AS arm FROM (
					SELECT unit, arm, first_ms * 1000 AS at_us FROM units WHERE experiment = $experiment
					UNION ALL SELECT unit, assigned, start_us FROM entries
						WHERE experiment = $experiment AND assigned IS NOT NULL AND unit IS NOT NULL
					UNION ALL SELECT unit, coalesce(arm, '${NO_ARM}'), at_ms * 1000 FROM decisions
						WHERE experiment = $experiment AND kind = 'assignment-changed' AND unit IS NOT NULL
				) GROUP BY unit) WHERE arm <> '${NO_ARM}' GROUP BY arm ORDER BY arm`,
				{ experiment },
			);
			return rows.map(({ arm, people }): [string, number] => [String(arm), Number(people)]);
		});
	}
}

function recordOf(experiment: string, end: ExperimentEnd, formerArm: string, count: number): DecisionRecord {
	const { reason, atMs, decision, service, variant } = end;
	const what = { kind: "assignment-changed", by: "control", reason, decision } as const;
	return { ...NOTHING_ELSE, ...what, atMs, service, experiment, formerArm, variant, count };
}
