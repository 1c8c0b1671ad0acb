/**
 * What is protected at one Envoy: by the plans whose routes it has, not by what is published. It may be late,
 * refuse a part, or be out of reach; what it serves meanwhile is probed as it was declared then.
 */
import { type Known, mostCounters } from "../../access/bypass/knownCounters.js";
import { type WatchedListener, type WatchedService, watchedListeners } from "../../access/bypass/watched.js";
import type { PlanTable } from "../../compiler/plan.js";
import { type Gateway, qualifiedName } from "../../resources/resource.js";
import type { GatewayServed, Hosts, Served } from "../../xds/served.js";

/** What Envoys are to serve. */
export interface Declared {
	readonly version: string;
	readonly table: PlanTable;
	/** With their ports. */
	readonly gateways: readonly Gateway[];
	/** What the process before this one published last; null or left out = that is not known. */
	readonly former?: PlanTable | null;
}

export interface ProbedPlansOptions {
	/** The table of a plan of an earlier process; null = it is kept no more. */
	readonly planOf: (version: string) => Promise<PlanTable | null>;
	/** How long a Service may be on its way, or be changed again and again, before it is named. */
	readonly patienceMs: number;
	readonly nowMs: () => number;
}

/** Plans of which it is known what they protect: what an Envoy has is touched in each round. */
const PLANS_KNOWN_MAX = 16;

/** By qualified name. */
type Services = ReadonlyMap<string, WatchedService>;

interface Probed {
	readonly services: Services;
	/** As its listener was declared; null = that is not known. */
	readonly gateway: Gateway | null;
	/** What the Envoy had at the look; null = that is not known. */
	readonly had: GatewayServed | null;
}

const NOTHING: Services = new Map();

/** What of a plan is known. */
interface KnownPlan {
	/** Protected Services by Gateway. */
	readonly guarded: ReadonlyMap<string, Services>;
	/** All that there are, open ones too. */
	readonly names: ReadonlySet<string>;
}

export class ProbedPlans {
	readonly #options: ProbedPlansOptions;
	/** By version; the youngest last. */
	readonly #known = new Map<string, KnownPlan>();
	#declared: Declared | null = null;
	/** Of the first that was declared. */
	#former: KnownPlan | null = null;
	#probed: ReadonlyMap<string, Probed> | null = null;
	/** Since when Services are declared or there, and not probed, by Gateway and name. */
	#missingSinceMs: ReadonlyMap<string, number> = new Map();

	constructor(options: ProbedPlansOptions) {
		this.#options = options;
	}

	declare(declared: Declared): void {
		if (this.#declared === null && declared.former != null) this.#former = knownOf(declared.former);
		this.#declared = declared;
		this.#keep(declared.version, knownOf(declared.table));
	}

	/** Something is declared that is to be watched for. */
	get isDeclared(): boolean {
		return this.#declared !== null;
	}

	/** Whether it is known what the Envoy has, or is taken for it. */
	get isKnown(): boolean {
		return this.#probed !== null;
	}

	/** @param served null = nothing is heard of it, and it goes on with what it had */
	async look(served: Served | null): Promise<void> {
		if (served === null) return;
		const before = this.#probed;
		const probed = new Map<string, Probed>();
		for (const [name, had] of served) {
			const was = before?.get(name);
			// Of one that came back with what is not known it is what it had.
			const services = had.plan === null ? was?.services : (await this.#plan(had.plan))?.guarded.get(name);
			const gateway = had.current ? this.#gateway(name) : (was?.gateway ?? null);
			if (services !== undefined) probed.set(name, { services, gateway, had });
		}
		this.#probed = probed;
	}

	/**
	 * Nobody says what the Envoy has. It has what the process before this one published last, or something older: what is
	 * declared still as it was then is taken for it.
	 */
	assume(): void {
		const former = this.#former;
		this.#probed = new Map(
			(this.#declared?.gateways ?? []).map((gateway) => {
				const name = qualifiedName(gateway.metadata);
				const declared = this.#declaredServices.get(name) ?? NOTHING;
				const before = former?.guarded.get(name) ?? NOTHING;
				const services = former === null ? declared : withoutOthers(declared, before);
				return [name, { services, gateway, had: null }];
			}),
		);
	}

	/** Of its Gateways, and of those that are declared and that it has not. */
	get listeners(): readonly WatchedListener[] {
		const names = new Set([...(this.#probed?.keys() ?? []), ...this.#declaredServices.keys()]);
		return [...names].flatMap((gateway) => {
			const services = this.#probed?.get(gateway)?.services ?? this.#declaredServices.get(gateway) ?? NOTHING;
			return services.size === 0 ? [] : [{ gateway, services: [...services.values()] }];
		});
	}

	/** Of what is declared, of what the process before published last, and of what the Envoy had at the look. */
	get gateways(): ReadonlySet<string> {
		const declared = (this.#declared?.gateways ?? []).map(({ metadata }) => qualifiedName(metadata));
		return new Set([...declared, ...(this.#former?.guarded.keys() ?? []), ...(this.#probed?.keys() ?? [])]);
	}

	/** Names of all plans that are known, and of Gateways that the Envoy has of one that is not. */
	names(served: Served | null): Known {
		const plans = [...this.#known.values(), ...(this.#former === null ? [] : [this.#former])].reverse();
		const { gateways } = this;
		return {
			gateway: (name) =>
				gateways.has(name) || served?.has(name) === true || plans.some(({ guarded }) => guarded.has(name)),
			service: (name) => plans.some(({ names }) => names.has(name)),
			most: mostCounters(
				new Set([...gateways, ...(served?.keys() ?? [])]).size,
				Math.max(0, ...plans.map(({ names }) => names.size)),
			),
		};
	}

	/** @returns undefined = it has no such listener of a plan that is known; null = how it was declared is not known */
	gateway(name: string): Gateway | null | undefined {
		return this.#probed?.get(name)?.gateway;
	}

	/** Whether the Service and its listener are there as they were at the look, and the Envoy is being told of no other. */
	isCertain(served: Served | null, gateway: string, service: string): boolean {
		const had = this.#probed?.get(gateway)?.had ?? null;
		if (had === null || served === null) return true;
		const now = served.get(gateway);
		if (now === undefined || now.moving || now.listener !== had.listener) return false;
		const wild = this.#probed?.get(gateway)?.services.get(service)?.wild === true;
		const isAsItWas = (hosts: Hosts): boolean =>
			wild ? isEqual(hosts, had.hosts) : hosts.get(service) === had.hosts.get(service);
		return isAsItWas(now.hosts) && (now.coming === null || isAsItWas(now.coming));
	}

	/** Whether it is known that the Envoy has this Gateway's Services as they are watched, and is being told of no other. */
	isSettled(served: Served | null, gateway: string): boolean {
		const probed = this.#probed?.get(gateway);
		if (probed?.had == null || probed.had.coming !== null || probed.had.moving) return false;
		return [...probed.services.keys()].every((name) => this.isCertain(served, gateway, name));
	}

	/** Takes which Services were left out of a round because they were uncertain. */
	noteSkipped(skipped: readonly { readonly gateway: string; readonly service: string }[]): void {
		const nowMs = this.#options.nowMs();
		const since = new Map<string, number>();
		const missing = (gateway: string, name: string): void => {
			const key = keyOf(gateway, name);
			since.set(key, this.#missingSinceMs.get(key) ?? nowMs);
		};
		for (const { gateway, service } of skipped) missing(gateway, service);
		for (const gateway of this.#declaredServices.keys()) {
			for (const name of this.#late(gateway)) missing(gateway, name);
		}
		this.#missingSinceMs = since;
	}

	/** Services that are not probed for longer than its patience. */
	missingAt(gateway: string): readonly string[] {
		const dueMs = this.#options.nowMs() - this.#options.patienceMs;
		const names = new Set([...this.#late(gateway), ...(this.#probed?.get(gateway)?.services.keys() ?? [])]);
		return [...names].filter((name) => (this.#missingSinceMs.get(keyOf(gateway, name)) ?? Infinity) <= dueMs);
	}

	get #declaredServices(): ReadonlyMap<string, Services> {
		return this.#known.get(this.#declared?.version ?? "")?.guarded ?? new Map();
	}

	/** Declared otherwise than they are probed, or not probed. */
	#late(gateway: string): readonly string[] {
		const probed = this.#probed?.get(gateway)?.services ?? NOTHING;
		const declared = this.#declaredServices.get(gateway) ?? NOTHING;
		return [...declared.values()].filter((one) => !isSame(one, probed.get(one.name))).map(({ name }) => name);
	}

	#gateway(name: string): Gateway | null {
		return this.#declared?.gateways.find(({ metadata }) => qualifiedName(metadata) === name) ?? null;
	}

	async #plan(version: string): Promise<KnownPlan | undefined> {
		const known = this.#known.get(version);
		if (known !== undefined) {
			this.#keep(version, known);
			return known;
		}
		const table = await this.#options.planOf(version).catch(() => null);
		if (table === null) return undefined;
		const learned = knownOf(table);
		this.#keep(version, learned);
		return learned;
	}

	#keep(version: string, plan: KnownPlan): void {
		this.#known.delete(version);
		this.#known.set(version, plan);
		for (const oldest of this.#known.keys()) {
			if (this.#known.size <= PLANS_KNOWN_MAX) return;
			if (oldest !== this.#declared?.version) this.#known.delete(oldest);
		}
	}
}

const isEqual = (one: Hosts, other: Hosts): boolean =>
	one === other || (one.size === other.size && [...one].every(([name, hash]) => other.get(name) === hash));

const keyOf = (gateway: string, service: string): string => `${gateway} ${service}`;

const isSame = (one: WatchedService, other: WatchedService | undefined): boolean =>
	other !== undefined && one.host === other.host && one.judgedBy === other.judgedBy;

const withoutOthers = (services: Services, before: Services): Services =>
	new Map([...services].filter(([name, one]) => isSame(one, before.get(name))));

/** One for all Envoys that have it. */
const namesKnown = new WeakMap<PlanTable, ReadonlySet<string>>();

function knownOf(table: PlanTable): KnownPlan {
	const names = namesKnown.get(table) ?? new Set(table.services.map(({ name }) => name));
	namesKnown.set(table, names);
	return { guarded: protectedBy(table), names };
}

/** By Gateway; of one that protects none, none. */
function protectedBy(table: PlanTable): ReadonlyMap<string, Services> {
	const [listener] = watchedListeners(table);
	// Every Service is reachable through every Gateway.
	const services: Services = new Map((listener?.services ?? []).map((one) => [one.name, one]));
	return new Map(table.gateways.map(({ name }) => [name, services]));
}
