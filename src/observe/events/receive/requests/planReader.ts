/**
 * Plan tables for ingest, by the version in a route name, each compiled once. Control owns the plans; while it does not
 * answer, entries of an unknown version wait for a few retries.
 */

import { isOpen } from "../../../../compile/access/rules/accessTable.js";
import { armVariants, policyThatDiffers } from "../../../../compile/access/rules/eligibility.js";
import {
	type AccessRequest,
	compileAccess,
	judgesVariants,
	type Verdict,
} from "../../../../compile/access/rules/policy.js";
import { type Assignment, compileAssignment } from "../../../../compile/assignment/assign.js";
import { contentHash } from "../../../../compile/assignment/hash.js";
import { sharePoints } from "../../../../compile/assignment/region.js";
import type {
	AccessTable,
	ArmTable,
	CalloutTable,
	ExperimentTable,
	PlanTable,
	ServiceTable,
} from "../../../../compile/plan/compiledPlan.js";
import { Generations } from "../../store/generations.js";

/** Attempts to fetch one plan version, and the pause between them; then its entries count as unreadable. */
const PLAN_TRIES_MAX = 5;
const PLAN_RETRY_MS = 200;

/** Compiled plan versions in the cache: one per ramp or apply while a request may still name it. */
const PLAN_CACHE_MAX = 200;

export interface ReadableExperiment {
	readonly table: ExperimentTable;
	/**
	 * A filter makes the unit, so no start entry carries it; or a filter may refuse the request, so no unit is exposed
	 * before the request is sent upstream.
	 */
	readonly lateUnit: boolean;
	readonly assignment: Assignment;
	/** Callers that may not use each arm's Variant are outside, although the slot holds the unit. */
	readonly byEligibility: boolean;
	readonly baselineArm: string | null;
	/** Points by arm on which units count as exposed; only arms that have such points. */
	readonly livePoints: Readonly<Record<string, number>>;
}

export interface ReadableService {
	readonly name: string;
	readonly defaultVariant: string;
	readonly access: AccessTable;
	/** Identifies the Service's rules for shadow counts; null = no shadow policies. */
	readonly triedRules: string | null;
	readonly callout: CalloutTable | null;
	/** The verdict of rules that depend on the Variant, which may cause a denial. null = no such rules. */
	readonly judgeVariant: ((request: AccessRequest) => Verdict) | null;
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

	/** The plan, if it is loaded. */
	known(version: string): ReadablePlan | null {
		return this.#known.get(version) ?? null;
	}

	/** Fetches the plan, with retries; null if control does not know the version or does not answer. Never rejects. */
	load(version: string): Promise<ReadablePlan | null> {
		const running = this.#loading.get(version);
		if (running !== undefined) return running;
		const load = this.#try(version).finally(() => this.#loading.delete(version));
		this.#loading.set(version, load);
		return load;
	}

	/** Stops running fetches; they answer null. */
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

const readable = ({ services }: PlanTable): ReadablePlan =>
	new Map(
		services.map((service) => {
			const { name, defaultVariant, access, callout, experiments } = service;
			return [
				name,
				{
					name,
					defaultVariant,
					access,
					triedRules: triedRules(access),
					callout,
					judgeVariant: judgesVariants(access) && isKnownHere(access) ? judge(access, name) : null,
					experiments: new Map(experiments.map((one) => [one.name, readableExperiment(one, service)])),
				},
			];
		}),
	);

/**
 * Whether denials depend only on logged fields (caller, method, path). Otherwise a user denied for another field would
 * seem to be refused for the Variant.
 */
const isKnownHere = ({ policies }: AccessTable): boolean =>
	policies.every(({ action, shadow, more }) => action !== "deny" || shadow || more === null);

/** Compiled on first use: most plans never need it. */
function judge(access: AccessTable, service: string): (request: AccessRequest) => Verdict {
	let compiled: ReturnType<typeof compileAccess> | null = null;
	return (request) => {
		compiled ??= compileAccess(access, service);
		return compiled(request);
	};
}

/**
 * A content hash, so a ramp or another Service's rules do not change it. It covers active and shadow rules, because the
 * change depends on both.
 */
function triedRules(access: AccessTable): string | null {
	return access.policies.some(({ shadow }) => shadow) ? contentHash(JSON.stringify(access)) : null;
}

/** By qualified Service name, for a plan that is not loaded otherwise. */
export function triedRulesIn(table: PlanTable | null): ReadonlyMap<string, string> {
	return new Map(
		(table?.services ?? []).flatMap(({ name, access }): [string, string][] => {
			const rules = triedRules(access);
			return rules === null ? [] : [[name, rules]];
		}),
	);
}

function readableExperiment(table: ExperimentTable, { access, defaultVariant }: ServiceTable): ReadableExperiment {
	return {
		table,
		lateUnit: table.unit.from !== "header" || !isOpen(access),
		assignment: compileAssignment(table),
		byEligibility: policyThatDiffers(access, armVariants(table), defaultVariant) !== null,
		baselineArm: table.arms.find((arm) => arm.baseline)?.name ?? null,
		livePoints: Object.fromEntries(
			table.arms
				.map((arm): [string, number] => {
					const counting = table.core?.alone === true ? corePoints(arm, table.core.ppm) : arm.livePoints;
					return [arm.name, counting - takenOver(table, arm.name, counting)];
				})
				.filter(([, points]) => points > 0),
		),
	};
}

/** Points of an arm that stay live under any bandit decision. */
export function corePoints({ loPpm, hiPpm, livePoints }: ArmTable, ppm: number): number {
	return Math.min(livePoints, sharePoints(hiPpm - loPpm, ppm));
}

/** Live points of an arm that a takeover gave to the winner: their units are no longer exposed to the arm. */
function takenOver({ takeover }: ExperimentTable, arm: string, livePoints: number): number {
	return takeover === null || takeover.arm === arm ? 0 : sharePoints(livePoints, takeover.ppm);
}
