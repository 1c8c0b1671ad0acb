/**
 * Generated resources for the parity of all executions: Services with random policies (principals, methods, paths,
 * Variants), random Experiments (slots, weights, phases, parameters) and every source of units. Seeded.
 */

import type { ExperimentStatus, Status } from "../../src/decide/rollout/status.js";
import type {
	AccessPolicy,
	Experiment,
	GatewayTls,
	Layer,
	ResourceSet,
	Service,
	UnitSource,
	Variant,
} from "../../src/declare/resources/resource.js";
import { qualifiedName } from "../../src/declare/resources/resource.js";
import { mulberry32 } from "../envoy/units.js";
import {
	accessPolicy,
	experiment,
	experimentStatus,
	gateway,
	layer,
	PATIENT,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../fixtures/resources.js";
import { tellsApart } from "./eligibility.js";

export const PRINCIPALS = ["alice", "bob", "carol", "mallory"] as const;
/** Who speaks no TLS, and so proves nothing; they come by the Gateway `plain`. */
export const ANONYMOUS = "anonymous";
/** Speaks mutual TLS and shows the arm to clients. */
export const TLS_GATEWAY = "edge";
/** Speaks plain text and shows no arm. */
export const PLAIN_GATEWAY = "plain";
export const METHODS = ["GET", "GET", "GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS"] as const;
/** Canonical as they stand, so they serve as paths too. */
export const PREFIXES = ["/", "/v2", "/v2/secret", "/v20", "/admin", "/health", "/m:predict"] as const;
export const ISSUER = "https://id.weir.test";
export const AUDIENCE = "weir";

export interface Generated {
	readonly resources: ResourceSet;
	readonly status: Status;
	readonly subjects: readonly Subject[];
}

/** One Service with what belongs to it. */
export interface Subject {
	readonly service: Service;
	readonly unit: UnitSource;
	readonly experiments: readonly { readonly experiment: Experiment; readonly status: ExperimentStatus }[];
	/** null where it is only named. */
	readonly layer: Layer | null;
	/** The policies that select it. */
	readonly policies: readonly AccessPolicy[];
	/** The promoted Variant where there is one, else the declared default. */
	readonly defaultVariant: string;
}

/** In [0, 1). */
export type Random = () => number;

export const pick = <T>(random: Random, values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;

/** Each with probability one half; never none where `some`. */
function subset<T>(random: Random, values: readonly T[], some = false): readonly T[] {
	const chosen = values.filter(() => random() < 0.5);
	return some && chosen.length === 0 ? [pick(random, values)] : chosen;
}

export interface GenerateOptions {
	readonly seed: number;
	readonly services: number;
	/** Upstream ports of Variants v1, v2, v3. */
	readonly ports: readonly number[];
	readonly tls: GatewayTls;
	readonly jwksFile: string;
	readonly spiffe: (name: string) => string;
}

export function generate({ seed, services: count, ports, tls, jwksFile, spiffe }: GenerateOptions): Generated {
	const random = mulberry32(seed);
	const variants = ports.map((port, index) => variant(`v${index + 1}`, port));
	const names = variants.map(({ name }) => name);
	const learned: [string, ExperimentStatus][] = [];
	const promoted: [string, { readonly defaultVariant: string }][] = [];
	const layers: Layer[] = [];
	const subjects = Array.from({ length: count }, (_, index): Subject => {
		const namespace = random() < 0.25 ? "prod" : "default";
		// Two of one name in two namespaces, so that nothing may be found by its bare name.
		const name = `s${namespace === "prod" ? Math.max(0, index - 1) : index}`;
		const open = random() < 0.25 && index % 8 !== 4;
		const unit = unitSource(random, index);
		// Most Services judge no two Variants differently, so that Envoy assigns; some of each unit's source may.
		const alike = index % 8 !== 1 && index % 16 !== 10 && index % 16 !== 3;
		const context = { name, namespace, variants: names, spiffe, alike };
		const perVariant = index % 8 === 4;
		const policies = perVariant
			? onePerVariant(context, index % 16 === 4 ? "v1" : "v2")
			: open
				? []
				: policiesFor(random, context);
		const seedOfLayer = random() < 0.5 ? null : String(Math.floor(random() * 2 ** 32));
		const owned = random() < 0.5 ? layer(`layer-${name}`, seedOfLayer, namespace) : null;
		if (owned !== null) layers.push(owned);
		const own = service(name, pick(random, [variants, variants, withoutLast(variants), byName(variants)]), {
			namespace,
			hosts: [random() < 0.2 ? `*.H${index}.test` : `h${index}.test`, `other${index}.test`],
			noEndpoint: "default-variant",
			access: open ? "open" : null,
			callout: perVariant ? PATIENT : calloutFor(random, open, unit, policies),
		});
		// Every other one has a default Variant outside of the arms: all arms are judged alike, and Envoy's entries differ.
		const experiments = experimentsFor(random, { service: name, namespace, unit, withoutDefault: index % 16 === 4 });
		for (const { experiment: one, status } of experiments) {
			// One that nothing was learned of runs at its first step.
			if (random() < 0.1 && status.phase === "Running") continue;
			learned.push([qualifiedName(one.metadata), status]);
		}
		// One that is not declared any more cannot serve: then the declared default does.
		const winner = pick(random, [null, null, null, "v2", "gone"]);
		if (winner !== null) promoted.push([qualifiedName(own.metadata), { defaultVariant: winner }]);
		const known = new Map(learned);
		return failingClosed({
			service: own,
			unit,
			experiments: experiments.map(({ experiment: one }) => ({
				experiment: one,
				status: known.get(qualifiedName(one.metadata)) ?? experimentStatus(one, {}),
			})),
			layer: owned,
			policies,
			defaultVariant: winner === "v2" ? winner : own.spec.defaultVariant,
		});
	});
	// The canonical form of every path is read off here.
	const open = service("canonical", variants);
	return {
		resources: resourceSet({
			gateways: [
				gateway({ tls, tokens: [tokenIssuer(ISSUER, [AUDIENCE], jwksFile)] }, TLS_GATEWAY),
				gateway({ exposeArm: false, tokens: [tokenIssuer(ISSUER, [AUDIENCE], jwksFile)] }, PLAIN_GATEWAY),
			],
			services: [...subjects.map((subject) => subject.service), open],
			experiments: subjects.flatMap(({ experiments }) => experiments.map((one) => one.experiment)),
			layers,
			accessPolicies: subjects.flatMap(({ policies }) => policies),
		}),
		status: { experiments: Object.fromEntries(learned), services: Object.fromEntries(promoted) },
		subjects,
	};
}

/** Who may use which Variant is the sidecar's to know: then `validate` refuses to let requests pass without it. */
function failingClosed(subject: Subject): Subject {
	const { service: own } = subject;
	if (!tellsApart(subject)) return subject;
	return {
		...subject,
		service: { ...own, spec: { ...own.spec, callout: { ...own.spec.callout, onFailure: "deny" } } },
	};
}

/** The last Variant has no endpoint: the default one serves what is assigned to it. */
const withoutLast = (variants: readonly Variant[]): readonly Variant[] =>
	variants.map((own, index) => (index === variants.length - 1 ? { ...own, endpoints: [] } : own));

/** By a DNS name instead of an address. */
const byName = (variants: readonly Variant[]): readonly Variant[] =>
	variants.map((own) => ({
		...own,
		endpoints: own.endpoints.map((endpoint) => ({ ...endpoint, address: "localhost" })),
	}));

/** Everyone may call, but one Variant is closed to one. Where it is the default one, entries of others must not inherit that. */
const onePerVariant = ({ name, namespace, spiffe }: PolicyContext, closed: string): readonly AccessPolicy[] => [
	accessPolicy(`${name}-all`, "allow", [name], { principals: PRINCIPALS.map(spiffe) }, namespace),
	accessPolicy(`${name}-one`, "deny", [name], { principals: [spiffe("alice")], variants: [closed] }, namespace),
];

function calloutFor(
	random: Random,
	open: boolean,
	unit: UnitSource,
	policies: readonly AccessPolicy[],
): Service["spec"]["callout"] {
	if (!open && random() < 0.4) return { ...PATIENT, access: "sidecar" };
	// Refused by `validate` where the sidecar would decide access.
	const decides = unit.from === "cookie" && policies.some(({ spec }) => spec.variants.length > 0);
	return !decides && random() < 0.3 ? { ...PATIENT, onFailure: "default-variant" } : PATIENT;
}

function unitSource(random: Random, index: number): UnitSource {
	const kind = index % 4;
	if (kind === 2) return { from: "claim", claim: pick(random, ["sub", "org.tenant_id"]) };
	if (kind === 3) return { from: "cookie", cookie: "weir_id", maxAgeMs: 86_400_000 };
	return { from: "header", header: pick(random, ["x-user-id", "x-tenant"]) };
}

interface PolicyContext {
	readonly name: string;
	readonly namespace: string;
	readonly variants: readonly string[];
	/** Policies that name Variants name all of them. */
	readonly alike: boolean;
	readonly spiffe: (name: string) => string;
}

function policiesFor(
	random: Random,
	{ name, namespace, variants, alike, spiffe }: PolicyContext,
): readonly AccessPolicy[] {
	const ofVariants = (): readonly string[] => {
		const chosen = subset(random, variants);
		return alike && chosen.length > 0 ? variants : chosen;
	};
	return Array.from({ length: 1 + Math.floor(random() * 4) }, (_, index) => {
		// The first allows, so that something passes.
		const action = index > 0 && random() < 0.4 ? "deny" : "allow";
		const everyone = action === "deny" && random() < 0.3;
		const spec = {
			principals: everyone ? [] : subset(random, PRINCIPALS, true).map(spiffe),
			methods: random() < 0.4 ? subset(random, ["GET", "HEAD", "POST", "DELETE", "PUT"]) : [],
			pathPrefixes: random() < 0.4 ? subset(random, PREFIXES) : [],
			variants: random() < 0.3 ? ofVariants() : [],
		};
		// A denial of all Variants leaves something to be seen of the rest.
		const conditions = spec.methods.length + spec.pathPrefixes.length;
		const few = alike && action === "deny" && spec.variants.length > 0 && conditions === 0;
		// Names in another order than they are declared in, because the first of several by name is reported.
		const own = `${name}-p${9 - index}`;
		return accessPolicy(own, action, [name], few ? { ...spec, methods: ["PUT"] } : spec, namespace);
	});
}

function experimentsFor(
	random: Random,
	{
		service,
		namespace,
		unit,
		withoutDefault,
	}: {
		readonly service: string;
		readonly namespace: string;
		readonly unit: UnitSource;
		readonly withoutDefault: boolean;
	},
): Subject["experiments"] {
	const cut = Math.floor(random() * 1_000_001);
	const slots = random() < 0.5 ? [[0, 1_000_000]] : [[0, cut] as const, [cut, 1_000_000] as const];
	return slots
		.filter(([lo = 0, hi = 0]) => hi > lo && random() < 0.85)
		.map(([lo = 0, hi = 0], index) => {
			const [some, more, others] = [1 + Math.floor(random() * 9), Math.floor(random() * 9), Math.floor(random() * 6)];
			const weights = withoutDefault ? [0, some, others] : [some, more, others];
			const made = experiment(
				`${service}-e${index}`,
				service,
				weights.map((weight, arm) => ({
					name: `arm${arm + 1}`,
					variant: `v${arm + 1}`,
					weight,
					baseline: arm === 0,
					parameters: random() < 0.3 ? { temperature: pick(random, ["0.2", "50% hot", "a,b;c"]), rank: "%%1%" } : {},
				})),
				{
					namespace,
					unit,
					layer: `layer-${service}`,
					slotPpm: [lo, hi],
					...(random() < 0.3 ? { salt: `Salt_9./-${service}-${index}` } : {}),
				},
			);
			const phase = pick(random, ["Running", "Running", "Running", "Paused", "Promoting", "Aborted"] as const);
			return {
				experiment: made,
				status: experimentStatus(made, {
					phase,
					allocationPpm: pick(random, [20_000, 333_333, 500_000, 1_000_000]),
					closedArms: phase === "Running" && random() < 0.2 ? ["arm3"] : [],
					...(random() < 0.3 ? { shares: randomShares(random) } : {}),
					...(phase === "Promoting"
						? { promotion: { arm: "arm2", variant: "v2", stepIndex: 0, takeoverPpm: Math.floor(random() * 1_000_001) } }
						: {}),
				}),
			};
		});
}

/** As a bandit may have set them. */
function randomShares(random: Random): NonNullable<ExperimentStatus["shares"]> {
	const any = (): number => Math.floor(random() * 1_000_001);
	return { ppm: { arm1: 1_000_000, arm2: any(), arm3: any() }, firstMovedAtMs: 0, movedAtMs: 0 };
}
