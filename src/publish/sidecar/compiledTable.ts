/**
 * A table compiled for requests: Services by name and host, with their rules, experiments and possible rulings. A Service
 * is compiled at its first request, because compiling all Services of a large table would block the event loop.
 */

import { type CouldAllow, couldAllow } from "../../compile/access/rules/accessTable.js";
import { armVariants, policyThatDiffers } from "../../compile/access/rules/eligibility.js";
import { isOpen, judgesUsers, judgesVariants, readsUsers } from "../../compile/access/rules/policy.js";
import { type Assignment, compileAssignment } from "../../compile/assignment/assign.js";
import type { CalloutTable, ExperimentTable, ServiceTable, UnitTable } from "../../compile/plan/compiledPlan.js";
import { armValue } from "../../compile/plan/headers.js";
import { CompiledAccess, type ServiceAccess } from "./compiledAccess.js";
import { type NativeAssignment, NO_ISSUER_KEYS, type Ruling } from "./question.js";
import type { ClosedService, VersionedTable } from "./tables.js";
import { CLOSED, type InvalidToken, invalidToken, type Verdict } from "./verdict.js";

export interface CompiledTable {
	readonly version: string;
	/** By qualified name. */
	service(name: string): CompiledService | null;
	/** As Envoy finds a virtual host: exact before the longest `*.`; ports and letter case are ignored. */
	byHost(host: string): CompiledService | null;
	/** The locality of the Gateway with that qualified name; null = unknown. */
	region(gateway: string | null): string | null;
	/** Proxies that the Gateway trusts to name their client. */
	trustedProxies(gateway: string | null): ReadonlySet<string>;
	/** The refusal of a token for the Gateway's issuers; for an unknown Gateway, for all issuers. */
	invalidToken(gateway: string | null): InvalidToken;
	/** Number of compiled Services. */
	compiledServices(): number;
}

export interface CompiledService extends ServiceAccess {
	readonly name: string;
	/** null = the plan does not call the sidecar; an Envoy that Weir did not configure may still call it. */
	readonly callout: CalloutTable | null;
	readonly open: boolean;
	/** Its table cannot be executed, so it denies everything. */
	readonly closed: boolean;
	/** The source of the unit; null without experiments. */
	readonly unit: UnitTable | null;
	/** Rules use the user, so a token must be valid. */
	readonly judgesUsers: boolean;
	/** Rules or shadow policies use the user, so a token is verified. */
	readonly readsUsers: boolean;
	readonly couldAllow: CouldAllow;
	/** The assignment of a unit, or without one. */
	place(unit: string | null): Place;
	/** The assignment of a request that is not eligible for the Experiment. */
	readonly outside: Place;
	/** The assignment that Envoy made. */
	placed(assigned: NativeAssignment): Place;
}

/** Rulings of one verdict: without a different shadow verdict, and per shadow verdict. */
interface RulingForms {
	same: Ruling | null;
	other: WeakMap<Verdict, Ruling> | null;
}

/** An assignment: one object for each entry of the weighted cluster in the native form. */
export class Place {
	readonly #rulings: (WeakMap<Verdict, RulingForms> | undefined)[] = [];

	constructor(
		readonly variant: string,
		private readonly fixed: Pick<
			Ruling,
			"plan" | "service" | "experiment" | "arm" | "variantHeader" | "armHeader" | "parameters"
		>,
		/** null = the sidecar does not set it. */
		private readonly shown: readonly string[] | null,
		/** A request is eligible only if all these Variants are allowed; null = not checked. */
		readonly eligible: readonly string[] | null = null,
		/** Envoy has chosen the Variant. */
		private readonly byEnvoy: boolean = false,
	) {}

	/**
	 * The same object for the same verdict object.
	 * @param names whether to name the Variant even if it is the default: the routes may have another default
	 */
	ruling(verdict: Verdict, exposeArm: boolean, names: boolean, shadow: Verdict | null = null): Ruling {
		// Weak: the verdict belongs to the newest table and must not outlive it.
		const form = (exposeArm ? 1 : 0) + (names ? 2 : 0);
		let rulings = this.#rulings[form];
		if (rulings === undefined) {
			rulings = new WeakMap();
			this.#rulings[form] = rulings;
		}
		// An equal shadow verdict counts as none.
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
				...(names && !this.byEnvoy ? { variantHeader: this.variant } : {}),
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

/** Cached assignments that Envoy made, per Service: far more than a Service has entries. */
const PLACED_MAX = 256;

/** One Service and its compiled form. */
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

	/** Cannot fail for a table that tableShape.ts accepts. */
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
 * @param given validated by readTable()
 * @param rules cached from previous tables
 */
export function compileTable(
	{ version, table, closed = [] }: VersionedTable,
	rules: CompiledAccess = new CompiledAccess(),
): CompiledTable {
	const services = new Map<string, Entry>();
	const exact = new Map<string, Entry>();
	const suffixes = new Map<string, Entry>();
	// A closed Service keeps its hosts: they must not match a wildcard of another Service.
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

/** @param rulesOf called at the first decision: rules of old plans are never used and must not evict the newest */
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
		const eligible = policyThatDiffers(access, variants, defaultVariant) === null ? null : variants;
		const place = (arm: string | null, variant: string, parameters: Ruling["parameters"]): Place => {
			const armHeader = armValue(experiment.name, arm);
			const fixed = { experiment: experiment.name, arm, armHeader, variantHeader: variantHeader(variant), parameters };
			return new Place(variant, { ...common, ...fixed }, [armHeader, ...others], eligible);
		};
		return compileExperiment(experiment, place(null, defaultVariant, {}), place);
	});
	const byEnvoy = new Map<string, Place>();
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
			let place = byEnvoy.get(key);
			if (place === undefined) {
				place = new Place(variant, { ...nowhere, experiment, arm, variantHeader: null }, null, null, true);
				if (byEnvoy.size < PLACED_MAX) byEnvoy.set(key, place);
			}
			return place;
		},
	};
}

/** Denies every request. Only its name and hosts are known. */
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

/** null for a unit outside the slot. Arms as in compile/envoy/weights.ts: points that were taken over count for the winner. */
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
