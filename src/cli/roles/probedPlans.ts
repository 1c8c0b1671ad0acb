/**
 * What is protected at this machine's Envoy: by the plans whose routes it has, not by what is published. It may be late,
 * refuse a part, or be out of reach; what it serves meanwhile is probed as it was declared then.
 */
import { type WatchedListener, type WatchedService, watchedListeners } from "../../access/probe.js";
import type { PlanTable } from "../../compiler/plan.js";
import { type Gateway, qualifiedName } from "../../resources/resource.js";
import type { Served } from "../../xds/served.js";

/** What Envoys are to serve. */
export interface Declared {
	readonly version: string;
	readonly table: PlanTable;
	/** With their ports. */
	readonly gateways: readonly Gateway[];
}

export interface ProbedPlansOptions {
	/** The table of a plan of an earlier process; null = it is kept no more. */
	readonly planOf: (version: string) => Promise<PlanTable | null>;
	/** How long a Service may be on its way before it is named. */
	readonly patienceMs: number;
	readonly nowMs: () => number;
}

/** Plans of which it is known what they protect: what an Envoy has is touched in each round. */
const PLANS_KNOWN_MAX = 16;

interface Probed {
	readonly services: readonly WatchedService[];
	/** As its listener was declared; null = that is not known. */
	readonly gateway: Gateway | null;
}

export class ProbedPlans {
	readonly #options: ProbedPlansOptions;
	/** Protected Services by Gateway, by the plan's version; the youngest last. */
	readonly #known = new Map<string, ReadonlyMap<string, readonly WatchedService[]>>();
	#declared: Declared | null = null;
	#probed: ReadonlyMap<string, Probed> | null = null;
	/** Since when Services are declared that are not probed, by Gateway and name. */
	#lateSinceMs: ReadonlyMap<string, number> = new Map();

	constructor(options: ProbedPlansOptions) {
		this.#options = options;
	}

	declare(declared: Declared): void {
		this.#declared = declared;
		this.#learn(declared.version, declared.table);
	}

	/** Something is declared that is to be watched for. */
	get isDeclared(): boolean {
		return this.#declared !== null;
	}

	/** Whether it is known what the Envoy has, or is taken for it. */
	get isKnown(): boolean {
		return this.#probed !== null;
	}

	/** @param served null = it is not connected, and goes on with what it had */
	async look(served: Served | null): Promise<void> {
		if (served !== null) {
			const before = this.#probed;
			const probed = new Map<string, Probed>();
			for (const [name, { plan, current }] of served) {
				const was = before?.get(name);
				// Of one that came back with what is not known it is what it had.
				const services = plan === null ? was?.services : (await this.#plan(plan))?.get(name);
				const gateway = current ? this.#gateway(name) : (was?.gateway ?? null);
				if (services !== undefined) probed.set(name, { services, gateway });
			}
			this.#probed = probed;
		}
		this.#noteLate();
	}

	/** Nobody says what the Envoy has: what is declared is taken for it. */
	assume(): void {
		const { version = "", gateways = [] } = this.#declared ?? {};
		this.#probed = new Map(
			gateways.map((gateway) => {
				const name = qualifiedName(gateway.metadata);
				return [name, { services: this.#known.get(version)?.get(name) ?? [], gateway }];
			}),
		);
	}

	/** Of its Gateways, and of those that are declared and that it has not. */
	get listeners(): readonly WatchedListener[] {
		const names = new Set([...(this.#probed?.keys() ?? []), ...this.#declaredServices.keys()]);
		return [...names].flatMap((gateway) => {
			const services = this.#probed?.get(gateway)?.services ?? this.#declaredServices.get(gateway) ?? [];
			return services.length === 0 ? [] : [{ gateway, services }];
		});
	}

	/** @returns undefined = it has no such listener of a plan that is known; null = how it was declared is not known */
	gateway(name: string): Gateway | null | undefined {
		return this.#probed?.get(name)?.gateway;
	}

	/** By what the Envoy has now and is being told: whether the Service is there as `listeners` says. */
	isCertain(served: Served | null, gateway: string, service: WatchedService): boolean {
		if (served === null) return true;
		const now = served.get(gateway);
		if (now === undefined) return false;
		const has = (version: string | null): boolean =>
			version === null || isAmong(service, this.#known.get(version)?.get(gateway) ?? []);
		return has(now.plan) && has(now.coming);
	}

	/** Services that are declared for longer than its patience, and are not probed. */
	lateAt(gateway: string): readonly string[] {
		const dueMs = this.#options.nowMs() - this.#options.patienceMs;
		return this.#late(gateway).filter((name) => (this.#lateSinceMs.get(keyOf(gateway, name)) ?? dueMs + 1) <= dueMs);
	}

	get #declaredServices(): ReadonlyMap<string, readonly WatchedService[]> {
		return this.#known.get(this.#declared?.version ?? "") ?? new Map();
	}

	#late(gateway: string): readonly string[] {
		const probed = this.#probed?.get(gateway)?.services ?? [];
		const declared = this.#declaredServices.get(gateway) ?? [];
		return declared.filter((service) => !isAmong(service, probed)).map(({ name }) => name);
	}

	#noteLate(): void {
		const nowMs = this.#options.nowMs();
		const since = new Map<string, number>();
		for (const gateway of this.#declaredServices.keys()) {
			for (const name of this.#late(gateway)) {
				const key = keyOf(gateway, name);
				since.set(key, this.#lateSinceMs.get(key) ?? nowMs);
			}
		}
		this.#lateSinceMs = since;
	}

	#gateway(name: string): Gateway | null {
		return this.#declared?.gateways.find(({ metadata }) => qualifiedName(metadata) === name) ?? null;
	}

	async #plan(version: string): Promise<ReadonlyMap<string, readonly WatchedService[]> | undefined> {
		const known = this.#known.get(version);
		if (known !== undefined) {
			this.#keep(version, known);
			return known;
		}
		const table = await this.#options.planOf(version).catch(() => null);
		return table === null ? undefined : this.#learn(version, table);
	}

	#learn(version: string, table: PlanTable): ReadonlyMap<string, readonly WatchedService[]> {
		const watched = new Map(watchedListeners(table).map(({ gateway, services }) => [gateway, services]));
		const all = new Map(table.gateways.map(({ name }) => [name, watched.get(name) ?? []]));
		this.#keep(version, all);
		return all;
	}

	#keep(version: string, services: ReadonlyMap<string, readonly WatchedService[]>): void {
		this.#known.delete(version);
		this.#known.set(version, services);
		for (const oldest of this.#known.keys()) {
			if (this.#known.size <= PLANS_KNOWN_MAX) return;
			if (oldest !== this.#declared?.version) this.#known.delete(oldest);
		}
	}
}

const keyOf = (gateway: string, service: string): string => `${gateway} ${service}`;

const isAmong = ({ name, host, judgedBy }: WatchedService, others: readonly WatchedService[]): boolean =>
	others.some((one) => one.name === name && one.host === host && one.judgedBy === judgedBy);
