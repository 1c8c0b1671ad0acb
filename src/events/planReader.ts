/**
 * Plans as ingest reads them: the table of each version that a route name may carry, compiled once. The owner of
 * the plans is another process; while it does not answer, entries of an unknown version wait a few tries long.
 */
import { type Assignment, compileAssignment } from "../assignment/assign.js";
import type { ExperimentTable, PlanTable } from "../compiler/plan.js";
import { PLAN_CACHE_MAX, PLAN_RETRY_MS, PLAN_TRIES_MAX } from "../limits.js";
import { Generations } from "./generations.js";

export interface ReadableExperiment {
	readonly table: ExperimentTable;
	readonly assignment: Assignment;
	readonly baselineArm: string | null;
	/** Live points by arm, only arms that have some. */
	readonly livePoints: Readonly<Record<string, number>>;
}

export interface ReadableService {
	readonly name: string;
	readonly defaultVariant: string;
	readonly experiments: ReadonlyMap<string, ReadableExperiment>;
}

/** By qualified Service name. */
export type ReadablePlan = ReadonlyMap<string, ReadableService>;

export class PlanReader {
	readonly #known = new Generations<string, ReadablePlan>(PLAN_CACHE_MAX);
	readonly #loading = new Map<string, Promise<ReadablePlan | null>>();
	readonly #pauses = new Map<NodeJS.Timeout, () => void>();
	#closed = false;

	constructor(private readonly plans: (version: string) => Promise<PlanTable | null>) {}

	/** The plan, if it is at hand. */
	known(version: string): ReadablePlan | null {
		return this.#known.get(version) ?? null;
	}

	/** Asks the owner, several times if need be; null when it does not know the version or does not answer. Never rejects. */
	load(version: string): Promise<ReadablePlan | null> {
		const running = this.#loading.get(version);
		if (running !== undefined) return running;
		const load = this.#try(version).finally(() => this.#loading.delete(version));
		this.#loading.set(version, load);
		return load;
	}

	/** Ends the tries that are under way; they answer null. */
	close(): void {
		this.#closed = true;
		for (const [timer, resume] of this.#pauses) {
			clearTimeout(timer);
			resume();
		}
		this.#pauses.clear();
	}

	async #try(version: string): Promise<ReadablePlan | null> {
		for (let tries = 1; ; tries++) {
			const table = await this.plans(version).catch(() => null);
			if (table !== null) {
				const plan = readable(table);
				this.#known.set(version, plan);
				return plan;
			}
			if (tries >= PLAN_TRIES_MAX || this.#closed) return null;
			await this.#pause();
		}
	}

	#pause(): Promise<void> {
		return new Promise((resolve) => {
			const timer = setTimeout(() => {
				this.#pauses.delete(timer);
				resolve();
			}, PLAN_RETRY_MS);
			this.#pauses.set(timer, resolve);
		});
	}
}

function readable(table: PlanTable): ReadablePlan {
	return new Map(
		table.services.map((service) => [
			service.name,
			{
				name: service.name,
				defaultVariant: service.defaultVariant,
				experiments: new Map(
					service.experiments.map((experiment) => [
						experiment.name,
						{
							table: experiment,
							assignment: compileAssignment(experiment),
							baselineArm: experiment.arms.find((arm) => arm.baseline)?.name ?? null,
							livePoints: Object.fromEntries(
								experiment.arms.filter((arm) => arm.livePoints > 0).map((arm) => [arm.name, arm.livePoints]),
							),
						},
					]),
				),
			},
		]),
	);
}
