/**
 * A table made answerable: Services by name and by host, with their rules, experiments and every ruling that can come
 * of them. A Service is compiled when it is first asked about, a request after that only finds: a swap of a large table
 * must not stop the loop, and most Services of an old one are never asked about again.
 */
import { armVariants, judgedApart } from "../../compile/access/rules/eligibility.js";
import { isOpen, judgesUsers, judgesVariants, readsUsers } from "../../compile/access/rules/policy.js";
import { type CouldAllow, couldAllow } from "../../compile/access/rules/table.js";
import { type Assignment, compileAssignment } from "../../compile/assignment/assign.js";
import { armValue } from "../../compile/envoy/headers.js";
import type { CalloutTable, ExperimentTable, ServiceTable, UnitTable } from "../../compile/table/plan.js";
import { CompiledAccess, type ServiceAccess } from "./compiledAccess.js";
import { type NativeAssignment, NO_ISSUER_KEYS, type Ruling } from "./question.js";
import type { ClosedService, VersionedTable } from "./tables.js";
import { CLOSED, type InvalidToken, invalidToken, type Verdict } from "./verdict.js";

export interface CompiledTable {
	readonly version: string;
	/** By qualified name. */
	service(name: string): CompiledService | null;
	/** As Envoy finds a virtual host: exact before the longest `*.`; ports and letter case do not matter. */
	byHost(host: string): CompiledService | null;
	/** Where a Gateway of that qualified name stands; null = nowhere, or it is not known. */
	region(gateway: string | null): string | null;
	/** Peers of the Gateway whose word on their client's identity counts. */
	trustedProxies(gateway: string | null): ReadonlySet<string>;
	/** The refusal of a token, by the Gateway's issuers; where the Gateway is not known by all. */
	invalidToken(gateway: string | null): InvalidToken;
	/** Services that are compiled now. */
	compiledServices(): number;
}

export interface CompiledService extends ServiceAccess {
	readonly name: string;
	/** null = the plan has no need of the sidecar; an Envoy that is not ours may ask it all the same. */
	readonly callout: CalloutTable | null;
	readonly open: boolean;
	/** It cannot be executed: it denies everything, for as long as it is the newest known of it. */
	readonly closed: boolean;
	/** Where the unit of a request is found; null without experiments. */
	readonly unit: UnitTable | null;
	/** Rules look at the user, so a token that is shown must hold. */
	readonly judgesUsers: boolean;
	/** They or the shadow policies do, so that a token is looked at. */
	readonly readsUsers: boolean;
	readonly couldAllow: CouldAllow;
	/** Where a request goes that has this unit, or none. */
	place(unit: string | null): Place;
	/** Where a request goes that has a unit, and may not take part in the Experiment. */
	readonly outside: Place;
	/** Where Envoy says that it goes. */
	placed(assigned: NativeAssignment): Place;
}

/** Rulings of one verdict: where shadow policies would change nothing, and by their verdict where they would. */
interface RulingForms {
	same: Ruling | null;
	other: WeakMap<Verdict, Ruling> | null;
}

/** What follows from where the unit lies: one object for each entry of the weighted cluster in the native form. */
export class Place {
	/** By what the answer shows and names. */
	readonly #rulings: (WeakMap<Verdict, RulingForms> | undefined)[] = [];

	constructor(
		readonly variant: string,
		private readonly fixed: Pick<
			Ruling,
			"plan" | "service" | "experiment" | "arm" | "variantHeader" | "armHeader" | "parameters"
		>,
		/** null = not the sidecar's to show. */
		private readonly shown: readonly string[] | null,
		/** Variants that a request must all be allowed to be placed here, else it is outside; null = it need not be asked. */
		readonly eligible: readonly string[] | null = null,
		/** Envoy has chosen the Variant. */
		private readonly told: boolean = false,
	) {}

	/**
	 * The same object for the same verdict object.
	 * @param names whether the Variant is named even where it is the default one: the routes may have another default
	 */
	ruling(verdict: Verdict, exposeArm: boolean, names: boolean, shadow: Verdict | null = null): Ruling {
		// Weak: the verdict is the newest table's, whichever table the place is of, and must not outlive it here.
		const form = (exposeArm ? 1 : 0) + (names ? 2 : 0);
		let rulings = this.#rulings[form];
		if (rulings === undefined) {
			rulings = new WeakMap();
			this.#rulings[form] = rulings;
		}
		// A shadow verdict that says the same is none.
		const other = shadow === null || shadow.allowed === verdict.allowed ? null : shadow;
		let forms = rulings.get(verdict);
		if (forms === undefined) {
			forms = { same: null, other: null };
			rulings.set(verdict, forms);
		}
		let found = other === null ? forms.same : (forms.other?.get(other) ?? null);
		if (found === null) {
			found = {
				verdict: verdict.allowed ? "allow" : "deny",
				reason: verdict.reason,
				policy: verdict.policy,
				challenge: "challenge" in verdict ? verdict.challenge : null,
				fault: "keyless" in verdict ? NO_ISSUER_KEYS : null,
				shadow: other === null ? null : other.allowed ? "allow" : "deny",
				shadowReason: other?.reason ?? null,
				shadowPolicy: other?.policy ?? null,
				...this.fixed,
				...(names && !this.told ? { variantHeader: this.variant } : {}),
				variant: this.variant,
				exposedArms: exposeArm ? this.shown : null,
			};
			if (other === null) forms.same = found;
			else {
				forms.other ??= new WeakMap();
				forms.other.set(other, found);
			}
		}
		return found;
	}
}

/** Places that were told by Envoy, of one Service, that are remembered: far more than a Service has entries. */
const PLACED_MAX = 256;

/** One Service, and what was made of it. */
class Entry {
	#compiled: CompiledService | null = null;

	constructor(
		private readonly version: string,
		private readonly source: ServiceTable | ClosedService,
		private readonly rules: CompiledAccess,
	) {}

	get isCompiled(): boolean {
		return this.#compiled !== null;
	}

	/** Cannot fail for what tableShape.ts lets in. */
	compiled(): CompiledService {
		const { version, source, rules } = this;
		this.#compiled ??=
			"why" in source
				? closedService(version, source)
				: compileService(version, source, () => rules.of(source.name, source.access));
		return this.#compiled;
	}
}

/**
 * @param given as readTable() gives it: what it refuses is not looked for again
 * @param rules of the tables before it
 */
export function compileTable(
	{ version, table, closed = [] }: VersionedTable,
	rules: CompiledAccess = new CompiledAccess(),
): CompiledTable {
	const services = new Map<string, Entry>();
	const exact = new Map<string, Entry>();
	const suffixes = new Map<string, Entry>();
	// A closed one has its hosts too: they must not fall to a wildcard of another.
	for (const one of [...table.services, ...closed]) {
		const service = new Entry(version, one, rules);
		services.set(one.name, service);
		for (const host of one.hosts) {
			const lower = host.toLowerCase();
			const [map, key] = lower.startsWith("*.") ? [suffixes, lower.slice(1)] : [exact, lower];
			if (!map.has(key)) map.set(key, service);
		}
	}
	rules.keep(services);
	const proxies = new Map(table.gateways.map(({ name, trustedProxies }) => [name, new Set(trustedProxies)]));
	const regions = new Map(table.gateways.map(({ name, region }) => [name, region]));
	const refusals = new Map(table.gateways.map(({ name, issuers }) => [name, invalidToken(issuers)]));
	const refusal = invalidToken(table.gateways.flatMap(({ issuers }) => issuers));
	return {
		version,
		service: (name) => services.get(name)?.compiled() ?? null,
		byHost(host) {
			const name = hostName(host);
			const found = exact.get(name);
			if (found !== undefined) return found.compiled();
			// From the left, so that the longest suffix comes first; a wildcard stands for at least one character.
			for (let dot = name.indexOf(".", 1); dot > 0; dot = name.indexOf(".", dot + 1)) {
				const wild = suffixes.get(name.slice(dot));
				if (wild !== undefined) return wild.compiled();
			}
			return null;
		},
		trustedProxies: (gateway) => (gateway === null ? null : proxies.get(gateway)) ?? NO_PROXIES,
		region: (gateway) => (gateway === null ? null : (regions.get(gateway) ?? null)),
		invalidToken: (gateway) => (gateway === null ? undefined : refusals.get(gateway)) ?? refusal,
		compiledServices: () => [...services.values()].filter(({ isCompiled }) => isCompiled).length,
	};
}

function hostName(host: string): string {
	const colon = host.lastIndexOf(":");
	// A colon inside brackets belongs to an IPv6 address (RFC 3986 3.2.2).
	const bare = colon > host.lastIndexOf("]") ? host.slice(0, colon) : host;
	return bare.toLowerCase();
}

/** @param rulesOf asked when the first request is judged: an old plan's rules judge nobody, and would push out the newest's */
function compileService(version: string, table: ServiceTable, rulesOf: () => ServiceAccess): CompiledService {
	const { name, access, callout, defaultVariant, experiments } = table;
	const byVariant = judgesVariants(access);
	const rest = experiments.map((experiment) => armValue(experiment.name, null));
	const common = { plan: version, service: name };
	const nowhere = { ...common, experiment: null, arm: null, armHeader: null, parameters: {} };
	const variantHeader = (variant: string): string | null => (byVariant || variant !== defaultVariant ? variant : null);
	const inDefault = (shown: readonly string[] | null): Place =>
		new Place(defaultVariant, { ...nowhere, variantHeader: variantHeader(defaultVariant) }, shown);
	const noUnit = inDefault(rest.length === 0 ? null : []);
	const outside = rest.length === 0 ? noUnit : inDefault(rest);
	const compiled = experiments.map((experiment) => {
		const others = rest.filter((_, index) => experiments[index] !== experiment);
		const variants = armVariants(experiment);
		const eligible = judgedApart(access, variants, defaultVariant) === null ? null : variants;
		const place = (arm: string | null, variant: string, parameters: Ruling["parameters"]): Place => {
			const armHeader = armValue(experiment.name, arm);
			const fixed = { experiment: experiment.name, arm, armHeader, variantHeader: variantHeader(variant), parameters };
			return new Place(variant, { ...common, ...fixed }, [armHeader, ...others], eligible);
		};
		return compileExperiment(experiment, place(null, defaultVariant, {}), place);
	});
	const told = new Map<string, Place>();
	let made: ServiceAccess | null = null;
	const rules = (): ServiceAccess => {
		made ??= rulesOf();
		return made;
	};
	return {
		name,
		callout,
		open: isOpen(access),
		closed: false,
		unit: experiments[0]?.unit ?? null,
		get authorise() {
			return rules().authorise;
		},
		get shadow() {
			return rules().shadow;
		},
		judgesUsers: judgesUsers(access),
		readsUsers: readsUsers(access),
		couldAllow: couldAllow(access),
		place(unit) {
			if (unit === null) return noUnit;
			for (const one of compiled) {
				const place = one(unit);
				if (place !== null) return place;
			}
			return outside;
		},
		outside,
		placed({ experiment, arm, variant }) {
			const key = `${experiment ?? ""}\n${arm ?? ""}\n${variant}`;
			let place = told.get(key);
			if (place === undefined) {
				place = new Place(variant, { ...nowhere, experiment, arm, variantHeader: null }, null, null, true);
				if (told.size < PLACED_MAX) told.set(key, place);
			}
			return place;
		},
	};
}

/** Nobody is let in, by whichever plan's routes: nothing of it is known but where it is. */
const closedService = (version: string, { name, hosts, defaultVariant }: ClosedService): CompiledService => ({
	...compileService(
		version,
		{
			...{ name, hosts, defaultVariant, timeoutMs: 0, callout: null, experiments: [] },
			access: { open: false, policies: [] },
		},
		() => ({ authorise: () => CLOSED, shadow: null }),
	),
	closed: true,
});

type FindPlace = (unit: string) => Place | null;

/** null for a unit outside the slot. The entry that serves is named as compiler/weights.ts does: taken over, the taker's. */
function compileExperiment(
	table: ExperimentTable,
	rest: Place,
	make: (arm: string | null, variant: string, parameters: Ruling["parameters"]) => Place,
): FindPlace {
	const assignment: Assignment = compileAssignment(table);
	const { takeover } = table;
	const live = new Map(table.arms.map((arm) => [arm.name, make(arm.name, arm.variant, arm.parameters)]));
	const taken =
		takeover === null
			? null
			: make(takeover.arm, takeover.variant, table.arms.find(({ name }) => name === takeover.arm)?.parameters ?? {});
	return (unit) => {
		const location = assignment.locate(unit);
		if (location === null || !location.inSlot) return null;
		if (location.takenOver && taken !== null) return taken;
		return (location.live && location.region !== null ? live.get(location.region) : undefined) ?? rest;
	};
}

const NO_PROXIES: ReadonlySet<string> = new Set();
