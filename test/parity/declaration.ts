/**
 * Generated resources for the parity of all executions: Services with random policies (principals, methods, paths,
 * Variants), random Experiments (slots, weights, phases, parameters) and every source of units. Seeded.
 */
import type {
	AccessPolicy,
	Experiment,
	GatewayTls,
	Layer,
	ResourceSet,
	Service,
	UnitSource,
} from "../../src/resources/resource.js";
import { qualifiedName } from "../../src/resources/resource.js";
import type { ExperimentStatus, Status } from "../../src/rollout/status.js";
import { mulberry32 } from "../envoy/units.js";
import {
	accessPolicy,
	CALLOUT,
	experiment,
	experimentStatus,
	gateway,
	layer,
	resourceSet,
	service,
	variant,
} from "../fixtures/resources.js";

export const PRINCIPALS = ["alice", "bob", "carol", "mallory"] as const;
export const METHODS = ["GET", "GET", "GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS"] as const;
const PREFIXES = ["/", "/v2", "/v2/secret", "/v20", "/admin", "/health", "/m:predict"] as const;
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
	readonly layer: Layer | null;
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
	/** Of Variants v1, v2, v3. */
	readonly ports: readonly number[];
	readonly tls: GatewayTls;
	readonly jwksFile: string;
	readonly spiffe: (name: string) => string;
}

export function generate({ seed, services: count, ports, tls, jwksFile, spiffe }: GenerateOptions): Generated {
	const random = mulberry32(seed);
	const variants = ports.map((port, index) => variant(`v${index + 1}`, port));
	const names = variants.map(({ name }) => name);
	const policies: AccessPolicy[] = [];
	const layers: Layer[] = [];
	const subjects = Array.from({ length: count }, (_, index): Subject => {
		const name = `s${index}`;
		const namespace = random() < 0.15 ? "prod" : "default";
		const open = random() < 0.25;
		const unit = unitSource(random, index);
		if (!open) policies.push(...policiesFor(random, name, namespace, names, spiffe));
		const owned = layer(`layer-${name}`, random() < 0.5 ? null : String(Math.floor(random() * 2 ** 32)), namespace);
		if (random() < 0.5) layers.push(owned);
		return {
			service: service(name, variants, {
				namespace,
				access: open ? "open" : null,
				callout: { ...CALLOUT, access: !open && random() < 0.4 ? "sidecar" : "native" },
			}),
			unit,
			experiments: experimentsFor(random, name, namespace, unit),
			layer: layers.includes(owned) ? owned : null,
		};
	});
	// The canonical form of every path is read off here.
	const open = service("canonical", variants);
	const all = subjects.flatMap(({ experiments }) => experiments);
	return {
		resources: resourceSet({
			gateways: [gateway({ tls, tokens: [{ issuer: ISSUER, audiences: [AUDIENCE], jwksFile }] })],
			services: [...subjects.map((subject) => subject.service), open],
			experiments: all.map((one) => one.experiment),
			layers,
			accessPolicies: policies,
		}),
		status: {
			experiments: Object.fromEntries(all.map((one) => [qualifiedName(one.experiment.metadata), one.status])),
			services: {},
		},
		subjects,
	};
}

function unitSource(random: Random, index: number): UnitSource {
	const kind = index % 4;
	if (kind === 2) return { from: "claim", claim: pick(random, ["sub", "org.tenant_id"]) };
	if (kind === 3) return { from: "cookie", cookie: "weir_id", maxAgeMs: 86_400_000 };
	return { from: "header", header: pick(random, ["x-user-id", "x-tenant"]) };
}

function policiesFor(
	random: Random,
	name: string,
	namespace: string,
	variants: readonly string[],
	spiffe: (name: string) => string,
): readonly AccessPolicy[] {
	return Array.from({ length: 1 + Math.floor(random() * 4) }, (_, index) => {
		// The first allows, so that something passes.
		const action = index > 0 && random() < 0.4 ? "deny" : "allow";
		const everyone = action === "deny" && random() < 0.3;
		return accessPolicy(
			`${name}-p${index}`,
			action,
			[name],
			{
				principals: everyone ? [] : subset(random, PRINCIPALS, true).map(spiffe),
				methods: random() < 0.4 ? subset(random, ["GET", "HEAD", "POST", "DELETE", "PUT"]) : [],
				pathPrefixes: random() < 0.4 ? subset(random, PREFIXES) : [],
				variants: random() < 0.3 ? subset(random, variants) : [],
			},
			namespace,
		);
	});
}

function experimentsFor(random: Random, service: string, namespace: string, unit: UnitSource): Subject["experiments"] {
	const cut = Math.floor(random() * 1_000_001);
	const slots = random() < 0.5 ? [[0, 1_000_000]] : [[0, cut] as const, [cut, 1_000_000] as const];
	return slots
		.filter(([lo = 0, hi = 0]) => hi > lo && random() < 0.85)
		.map(([lo = 0, hi = 0], index) => {
			const weights = [1 + Math.floor(random() * 9), Math.floor(random() * 9), Math.floor(random() * 3)];
			const made = experiment(
				`${service}-e${index}`,
				service,
				weights.map((weight, arm) => ({
					name: `arm${arm + 1}`,
					variant: `v${arm + 1}`,
					weight,
					baseline: arm === 0,
					parameters: random() < 0.3 ? { temperature: pick(random, ["0.2", "50% hot", "a,b;c"]) } : {},
				})),
				{ namespace, unit, layer: `layer-${service}`, slotPpm: [lo, hi] },
			);
			const phase = pick(random, ["Running", "Running", "Running", "Paused", "Promoting", "Aborted"] as const);
			return {
				experiment: made,
				status: experimentStatus(made, {
					phase,
					allocationPpm: pick(random, [20_000, 333_333, 500_000, 1_000_000]),
					closedArms: phase === "Running" && random() < 0.2 ? ["arm3"] : [],
					...(phase === "Promoting"
						? { promotion: { arm: "arm2", variant: "v2", stepIndex: 0, takeoverPpm: Math.floor(random() * 1_000_001) } }
						: {}),
				}),
			};
		});
}
