/**
 * The rollout loop. Each tick, for each active experiment: read state, query evidence, decide, store. The loop has no state of
 * its own: after a restart it continues from the stored status. If state or evidence is unavailable, it holds and reports.
 */

import { serviceOf } from "../../declare/resources/lookup.js";
import { type Experiment, qualifiedName } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { claimedMetrics } from "../../infer/statistics/claim.js";
import type { BaselineQuantile } from "../../infer/statistics/evidence.js";
import { gridQuantiles } from "../../infer/statistics/quantileGrid.js";
import { accessLosses } from "./accessLosses.js";
import { movesOn } from "./closedServices.js";
import { decide } from "./decide.js";
import { decidedFrom } from "./decidedFrom.js";
import { type Decision, type DecisionInput, type Outcome, RULES } from "./decision.js";
import { startExperiment } from "./declaration.js";
import { Endings } from "./endings.js";
import { evidenceQuery, freezingSinceMs, localEvidence, metricsOf, sharingUnits } from "./evidenceQuery.js";
import { heldByGate } from "./gate.js";
import { GateApprovals, type GateReport } from "./gateApprovals.js";
import { otherPromotions } from "./otherPromotion.js";
import type { Clock, EvidenceSource, State, StateStore, Webhook } from "./ports.js";
import { RecordedOutcomes } from "./recordedOutcomes.js";
import { quantileToFreeze } from "./rules/freezeThreshold.js";
import { type ExperimentStatus, isExposing } from "./status.js";

/** Events for logs and metrics; never with a unit id or a payload. */
export type LoopEvent =
	| { readonly type: "decided"; readonly decision: Decision }
	/** The current outcome, recorded or not: for a timeline. */
	| { readonly type: "evaluated"; readonly experiment: string; readonly outcome: Outcome }
	/** Once at its start. experiment null = the state is unavailable. */
	| { readonly type: "holding"; readonly experiment: string | null; readonly error: WeirError }
	/** Once at its end. */
	| { readonly type: "recovered"; readonly experiment: string | null }
	/** The state was changed concurrently; decides again. */
	| { readonly type: "conflict"; readonly experiment: string }
	/** A gate answered. */
	| ({ readonly type: "gate" } & GateReport);

export interface LoopOptions {
	readonly store: StateStore;
	readonly evidence: EvidenceSource;
	readonly clock: Clock;
	/** Asks the gates of Experiments. */
	readonly webhook: Webhook;
	readonly report: (event: LoopEvent) => void;
	/** null = a third of the shortest `every`, between INTERVAL_MIN_MS and INTERVAL_MAX_MS. */
	readonly intervalMs: number | null;
}

/** Each tick makes one aggregate query for each experiment. */
const INTERVAL_MIN_MS = 100;
const INTERVAL_MAX_MS = 1_000;

/** Attempts for one Experiment per tick: each conflict needs another one while others wait. */
const LOOKS_PER_TURN_MAX = 3;

/** Attempts to store one decision after concurrent changes that it does not depend on. */
const RECORDS_PER_LOOK_MAX = 10;

export class RolloutLoop {
	readonly #recorded = new RecordedOutcomes();
	/** Experiments ("" = the state) that hold because something is unavailable. */
	readonly #holding = new Set<string>();
	readonly #gates: GateApprovals;
	readonly #endings = new Endings();
	#cancel: (() => void) | null = null;
	#running: Promise<void> | null = null;
	#stopped = false;
	#intervalMs: number;

	constructor(private readonly options: LoopOptions) {
		this.#intervalMs = options.intervalMs ?? INTERVAL_MAX_MS;
		this.#gates = new GateApprovals(options.webhook, options.clock, (answer) =>
			options.report({ type: "gate", ...answer }),
		);
	}

	/** Ticks until stopped, the first time at once. Ticks never overlap. */
	start(): void {
		this.#stopped = false;
		this.#schedule(0);
	}

	/** Resolves after the current tick; no decision is made later. */
	async stop(): Promise<void> {
		this.#stopped = true;
		this.#cancel?.();
		this.#cancel = null;
		await this.#running;
	}

	#schedule(ms: number): void {
		if (this.#stopped) return;
		this.#cancel = this.options.clock.after(ms, () => {
			this.#running = this.tick().finally(() => {
				this.#running = null;
				this.#schedule(this.#intervalMs);
			});
		});
	}

	/** Evaluates each active experiment once. Never rejects: errors are reported. */
	async tick(): Promise<void> {
		const state = await this.#read();
		if (state === null) return;
		const active = state.resources.experiments.filter((experiment) => isActive(state, experiment));
		this.#pace(active);
		let now = state;
		for (const experiment of active) {
			if (this.#stopped) return;
			now = await this.#turn(now, experiment);
		}
		await this.#endings.look(now, this.options.clock.nowMs(), this.options.evidence);
	}

	/** null = none, or unavailable. */
	async #read(): Promise<State | null> {
		try {
			const state = await this.options.store.state(-1, 0);
			if (state !== null) this.#recover(null);
			return state;
		} catch (thrown) {
			this.#hold(null, thrown);
			return null;
		}
	}

	/**
	 * Returns the state after it. On a conflict it reads the state and decides again at once: the next tick may be far away, and
	 * frequent changes would delay all decisions.
	 */
	async #turn(state: State, declared: Experiment): Promise<State> {
		let now = state;
		for (let looks = 0; looks < LOOKS_PER_TURN_MAX && !this.#stopped; looks++) {
			const experiment = activeNow(now, declared);
			if (experiment === null) return now;
			const after = await this.#look(now, experiment);
			if (after !== "conflict") return after;
			now = (await this.#read()) ?? now;
		}
		return now;
	}

	#pace(active: readonly Experiment[]): void {
		if (this.options.intervalMs !== null) return;
		const every = active.map((experiment) => experiment.spec.rollout.everyMs / 3);
		this.#intervalMs = Math.max(INTERVAL_MIN_MS, Math.min(INTERVAL_MAX_MS, ...every));
	}

	/** Returns the state after it, unchanged unless a decision was stored; conflict = the state is outdated. */
	async #look(state: State, experiment: Experiment): Promise<State | "conflict"> {
		const name = qualifiedName(experiment.metadata);
		try {
			const nowMs = this.options.clock.nowMs();
			const status = state.status.experiments[name];
			if (status === undefined)
				return await this.#record(state, experiment, null, startExperiment(experiment, nowMs), nowMs);
			let input = await this.#input(state, experiment, status, []);
			let wanted = decide(input);
			const others = wanted.action === "promote" ? sharingUnits(state, experiment) : [];
			if (others.length > 0) {
				// Only before a promotion: it is a join over all units of both.
				input = await this.#input(state, experiment, status, others);
				wanted = decide(input);
			}
			if (movesOn(wanted.action) && state.closed?.includes(serviceOf(experiment)) === true) {
				throw new WeirError(
					"failed-precondition",
					`Service ${serviceOf(experiment)} is closed: an Envoy or a sidecar refuses its newest configuration`,
				);
			}
			const passed = this.#gates.pass(name, input, wanted);
			const outcome = passed === "yes" || passed === "asking" ? wanted : heldByGate(input, wanted, passed);
			this.#recover(name);
			// No decision until the gate has answered; each tick still looks for harm.
			if (passed === "asking") return state;
			this.options.report({ type: "evaluated", experiment: name, outcome });
			if (this.#recorded.has(name, outcome, input.nowMs)) return state;
			return await this.#record(state, experiment, input, outcome, input.nowMs);
		} catch (thrown) {
			const error = WeirError.from(thrown);
			if (error.code === "conflict") {
				this.options.report({ type: "conflict", experiment: name });
				return "conflict";
			}
			this.#hold(name, error);
			return state;
		}
	}

	async #input(
		state: State,
		experiment: Experiment,
		status: ExperimentStatus,
		interactsWith: readonly string[],
	): Promise<DecisionInput> {
		const { clock, evidence } = this.options;
		const metrics = metricsOf(state.resources, experiment);
		const query = evidenceQuery(state.resources, experiment, status, clock.nowMs(), interactsWith);
		const baselineQuantiles: Record<string, BaselineQuantile> = {};
		if (isExposing(status.phase))
			for (const metric of claimedMetrics(experiment)) {
				const declared = metrics[metric];
				const quantile = declared === undefined ? null : quantileToFreeze(declared);
				if (declared === undefined || quantile === null || status.thresholds[metric] !== undefined) continue;
				const values = query.metrics.find(({ name }) => name === qualifiedName(declared.metadata));
				const measured = await evidence.baselineQuantile({
					experiment: qualifiedName(experiment.metadata),
					service: serviceOf(experiment),
					quantile,
					sinceMs: freezingSinceMs(status, metric),
					untilMs: clock.nowMs(),
					...(declared.spec.type === "quantile"
						? { others: gridQuantiles(quantile) }
						: values === undefined
							? {}
							: { valuesOf: values }),
				});
				if (measured !== null) baselineQuantiles[metric] = measured;
			}
		const found = localEvidence(await evidence.evidence(query), metrics);
		// The decision's time is after all of its evidence.
		const others = otherPromotions(state, experiment, status);
		const losses = accessLosses(state, experiment);
		return {
			...{ rules: RULES, experiment, metrics, status, evidence: found, nowMs: clock.nowMs(), ...others },
			...(Object.keys(losses).length === 0 ? {} : { accessLosses: losses }),
			...(Object.keys(baselineQuantiles).length === 0 ? {} : { baselineQuantiles }),
		};
	}

	async #record(
		state: State,
		experiment: Experiment,
		input: DecisionInput | null,
		outcome: Outcome,
		atMs: number,
	): Promise<State> {
		const name = qualifiedName(experiment.metadata);
		const request = { experiment: name, by: "weir", atMs, input, outcome };
		const { state: now, revision, decision } = await this.#decided(state, request);
		this.#recorded.add(name, outcome, atMs);
		this.#recover(name);
		this.options.report({ type: "decided", decision });
		// Other Experiments of the Service use these phases and default Variants in this tick.
		const { experiments, services } = now.status;
		const { status, defaultVariant } = outcome;
		if (defaultVariant === null && status.phase === experiments[name]?.phase) return { ...now, revision };
		const moved = defaultVariant === null ? {} : { [serviceOf(experiment)]: { defaultVariant } };
		const after = { experiments: { ...experiments, [name]: status }, services: { ...services, ...moved } };
		return { ...now, revision, status: after };
	}

	/** Stores a decision, if necessary on a newer state that is equal in all that the decision depends on. */
	async #decided(state: State, request: Omit<Parameters<StateStore["decide"]>[0], "expectedRevision">) {
		const { experiment, atMs, outcome } = request;
		let now = state;
		for (let records = 1; ; records++) {
			try {
				return { state: now, ...(await this.options.store.decide({ ...request, expectedRevision: now.revision })) };
			} catch (thrown) {
				const isOver = records >= RECORDS_PER_LOOK_MAX || movesOn(outcome.action);
				if (isOver || WeirError.from(thrown).code !== "conflict") throw thrown;
				const read = await this.#read();
				if (read === null || decidedFrom(read, experiment, atMs) !== decidedFrom(state, experiment, atMs)) throw thrown;
				now = read;
			}
		}
	}

	#hold(experiment: string | null, thrown: unknown): void {
		const key = experiment ?? "";
		if (this.#holding.has(key)) return;
		this.#holding.add(key);
		this.options.report({ type: "holding", experiment, error: WeirError.from(thrown) });
	}

	#recover(experiment: string | null): void {
		if (this.#holding.delete(experiment ?? "")) this.options.report({ type: "recovered", experiment });
	}
}

function isActive({ status }: State, { metadata }: Experiment): boolean {
	const phase = status.experiments[qualifiedName(metadata)]?.phase;
	return phase === undefined || isExposing(phase) || phase === "Promoting";
}

/** The current declaration; null = not declared any more, or ended. */
function activeNow(state: State, declared: Experiment): Experiment | null {
	const { experiments } = state.resources;
	const name = qualifiedName(declared.metadata);
	// Fast path: usually the declaration is unchanged.
	const now = experiments.includes(declared)
		? declared
		: experiments.find(({ metadata }) => qualifiedName(metadata) === name);
	return now !== undefined && isActive(state, now) ? now : null;
}
