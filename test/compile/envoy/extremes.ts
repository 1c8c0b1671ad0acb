/**
 * Extremes of every field of every kind that reaches an Envoy: each leaf of the JSON Schema is set to the ends of its
 * range, to each of its enum values, or to every text of a pool, and each list is empty or of maximum length. Envoy must
 * accept all that `weir validate` accepts: one refused value holds back the routes of all Services.
 */
import { compile } from "../../../src/compile/compile.js";
import { EMPTY_KEY_SET, keySetName } from "../../../src/compile/envoy/keySet.js";
import type { CompiledPlan } from "../../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { checkResources } from "../../../src/declare/resources/checks/check.js";
import { resourceSet } from "../../../src/declare/resources/kinds.js";
import type { Resource } from "../../../src/declare/resources/resource.js";
import { jsonSchema } from "../../../src/declare/resources/schema.js";
import { SCHEMAS } from "../../../src/declare/resources/schemas/byKind.js";
import { NASTY_TEXTS, TEXTS } from "./extremeTexts.js";

export const COLLECTORS = { accessLogSocket: "/run/als.sock", tracesSocket: "/run/otlp.sock", traceSamplingPercent: 1 };

interface Document {
	readonly apiVersion: "weir.dev/v1alpha1";
	readonly kind: Kind;
	readonly metadata: { readonly name: string; readonly namespace?: string };
	readonly spec: object;
}

/** One value of one field, in separate resources. */
export interface Extreme {
	readonly name: string;
	readonly resources: readonly Resource[];
	/** Each Gateway has its own listeners for all Services, so these cases are compiled with few Services. */
	readonly ofGateway: boolean;
	/** One of many texts that the field accepts. */
	readonly isText: boolean;
	/** The field is a list of maximum length. */
	readonly isFull: boolean;
}

/** The kinds that reach Envoy; the others are for control and operators. */
export const KINDS = ["Gateway", "Service", "AccessPolicy", "Experiment", "Layer"] as const;
type Kind = (typeof KINDS)[number];

interface Schema {
	readonly type?: string | readonly string[];
	readonly properties?: Readonly<Record<string, Schema>>;
	readonly items?: Schema;
	readonly anyOf?: readonly Schema[];
	readonly enum?: readonly unknown[];
	readonly const?: unknown;
	readonly minimum?: number;
	readonly maximum?: number;
	readonly maxItems?: number;
	readonly exclusiveMinimum?: number;
	readonly exclusiveMaximum?: number;
	readonly additionalProperties?: unknown;
}

/** Files on Envoy's machine: their content is unknown, and Envoy's refusal affects only that listener. */
const OF_FILES = ["certificateFile", "privateKeyFile", "clientCaFile"];
/** Fields that only control uses, except the steps. */
const OF_CONTROL = ["goal", "guardrails", "every", "minUnits", "alpha", "maxDuration", "onInconclusive", "onHarm"];
const ALSO_OF_CONTROL = ["inference", "holdback", "bandit", "gates"];
const LEFT_OUT = new Set<Step>([...OF_FILES, ...OF_CONTROL, ...ALSO_OF_CONTROL]);

type Step = string | 0;
interface Leaf {
	readonly path: readonly Step[];
	readonly schema: Schema;
}

function leaves(schema: Schema, path: readonly Step[] = []): readonly Leaf[] {
	if (schema.anyOf !== undefined) return schema.anyOf.flatMap((one) => leaves(one, path));
	if (schema.properties !== undefined) {
		return Object.entries(schema.properties).flatMap(([name, inner]) => leaves(inner, [...path, name]));
	}
	if (schema.items !== undefined) {
		const { maxItems } = schema;
		const itself = { type: "array", ...(maxItems === undefined ? {} : { maxItems }) };
		return [{ path, schema: itself }, ...leaves(schema.items, [...path, 0])];
	}
	return [{ path, schema }];
}

function valuesOf({ type, enum: words, const: word, ...schema }: Schema): readonly unknown[] {
	if (words !== undefined) return words;
	if (word !== undefined) return [word];
	const types = typeof type === "string" ? [type] : (type ?? []);
	return types.flatMap((one): readonly unknown[] => {
		if (one === "boolean") return [true, false];
		if (one === "null") return [null];
		if (one === "array") return [[]];
		if (one === "integer" || one === "number") {
			const { minimum = 1e-9, maximum = Number.MAX_SAFE_INTEGER } = schema;
			return [
				schema.exclusiveMinimum === undefined ? minimum : 1e-9,
				schema.exclusiveMaximum === 1 ? 1 - 1e-9 : maximum,
			];
		}
		if (one === "object") return [{}, { a: "b" }, { [`a${"-".repeat(62)}b`]: `!${"%".repeat(1_022)}~` }];
		return [];
	});
}

/** A list of maximum length: the declared items and copies of the last item that differ in one field. */
class FullList {
	constructor(
		readonly items: number,
		readonly way: number,
	) {}

	/** null = there is no such list or variation. */
	from(list: unknown): readonly unknown[] | null {
		if (!Array.isArray(list)) return null;
		const more = Array.from({ length: this.items - list.length }, (_, index) => changed(list.at(-1), index)[this.way]);
		return more.includes(undefined) ? null : [...list, ...more];
	}

	toJSON(): string {
		return `${this.items} items`;
	}
}

const FULL_WAYS = 12;

/** All variations of the value with one text or number changed. */
function changed(value: unknown, index: number): readonly unknown[] {
	if (typeof value === "string") return [`${value}${index}`, `n${index}.${value}`];
	if (typeof value === "number") return [value + 1 + index];
	if (typeof value !== "object" || value === null) return [];
	return Object.entries(value).flatMap(([key, field]) =>
		changed(field, index).map((other) => ({ ...value, [key]: other })),
	);
}

const isText = ({ type, enum: words, const: word }: Schema): boolean =>
	words === undefined && word === undefined && (type === "string" || (Array.isArray(type) && type.includes("string")));

/** Possible documents around each leaf, and the few fields that a valid document needs. */
interface Base {
	readonly forms: readonly Readonly<Record<string, unknown>>[];
	readonly least: Readonly<Record<string, unknown>>;
}

const locality = { region: "eu", zone: "a", subZone: "b" };
const rate = { requests: 10, per: "1s" };
const timed = { schedule: { timezone: "UTC", days: ["mon"], from: "08:00", until: "18:00" } };
const KEYS = "/run/keys.json";

function bases(id: string, tls: object): Readonly<Record<Kind, Base>> {
	const audiences = ["weir"];
	const token = { issuer: "https://id.example", audiences };
	const second = { issuer: "https://b.example", audiences, jwksFile: KEYS };
	const arms = [
		{ name: "a", variant: "v1", weight: 1, baseline: true, parameters: {} },
		{ name: "b", variant: "v2", weight: 1, baseline: false, parameters: { temperature: "0.2" } },
	];
	const probing = { interval: "5s", timeout: "1s", healthyThreshold: 2, unhealthyThreshold: 3 };
	const experiment = { unit: { header: "x-user-id" }, layer: { name: id, slot: ["0%", "100%"] }, arms };
	return {
		Gateway: {
			forms: [
				{
					tls: { identity: "mesh" },
					trustedProxies: ["spiffe://a.example/proxy"],
					tokens: [{ ...token, jwksFile: KEYS }, second],
				},
				{ tls, tokens: [{ ...token, jwksUrl: "https://keys.example/jwks" }, second] },
				{ tokens: [{ ...token, jwksUrl: "https://keys.example/jwks", jwksCaFile: "/run/ca.pem" }] },
			],
			least: { port: 8081, address: "127.0.0.1" },
		},
		Service: {
			forms: [
				{
					...{ identities: ["spiffe://a.example/model"], retries: { on: ["connect-failure"], perTryTimeout: "1s" } },
					healthCheck: { path: "/health", ...probing },
					outlierDetection: { consecutive5xx: 5 },
					circuitBreaker: { maxConnections: 1 },
					callout: { access: "native" },
					rateLimits: { service: rate, principal: rate, tenant: rate },
				},
				{ protocol: "grpc", healthCheck: probing, retries: { on: ["unavailable"] } },
			],
			least: {
				hosts: [`${id}.test`],
				defaultVariant: "v1",
				variants: [
					{ name: "v1", endpoints: [{ address: "127.0.0.1", port: 9001, locality }] },
					{ name: "v2", endpoints: [{ address: "localhost", port: 9002 }] },
				],
			},
		},
		AccessPolicy: {
			forms: [{ claims: [{ claim: "role", values: ["clerk"] }], ...timed }],
			least: { services: [id], principals: ["anyone"] },
		},
		Experiment: {
			forms: [
				{ segments: [{ name: "country", header: "x-country" }] },
				{ unit: { claim: "sub" } },
				{ unit: { cookie: { name: "weir_id", maxAge: "90d" } } },
			],
			least: { service: id, ...experiment, rollout: { steps: ["100%"] } },
		},
		Layer: { forms: [{}], least: { seed: "7" } },
	};
}

/**
 * @param tls a Gateway's TLS from readable files
 * @returns the cases that `weir validate` accepts
 */
export function extremes(tls: object): readonly Extreme[] {
	const { $defs } = jsonSchema() as { readonly $defs: Readonly<Record<string, Schema>> };
	let count = 0;
	return KINDS.flatMap((kind) =>
		leaves($defs[kind]?.properties?.spec ?? {}).flatMap((leaf) => {
			if (leaf.path.some((step) => LEFT_OUT.has(step))) return [];
			const fits = (value: unknown): readonly Extreme[] => extremesOf(kind, `x${count++}`, leaf, value, tls);
			const others = [...valuesOf(leaf.schema).flatMap(fits), ...fullOnes(leaf.schema, fits)];
			if (!isText(leaf.schema)) return others;
			// A field for any text does not need addresses and paths.
			const nasty = NASTY_TEXTS.flatMap(fits);
			return [...others, ...nasty, ...(nasty.length > NASTY_TEXTS.length / 2 ? [] : TEXTS.flatMap(fits))];
		}),
	);
}

/** The extremes of a list of maximum length, in its first valid variation. */
function fullOnes({ maxItems }: Schema, fits: (value: FullList) => readonly Extreme[]): readonly Extreme[] {
	for (let way = 0; maxItems !== undefined && way < FULL_WAYS; way++) {
		const found = fits(new FullList(maxItems, way));
		if (found.length > 0) return found;
	}
	return [];
}

/** The first valid form, starting with only this field, so that no other field moves the rule to the sidecar. */
function extremesOf(kind: Kind, id: string, { path, schema }: Leaf, value: unknown, tls: object): readonly Extreme[] {
	const { forms, least } = bases(id, tls)[kind];
	const top = String(path[0]);
	for (const form of [{}, ...forms.filter((one) => top in one).map((one) => ({ [top]: one[top] })), ...forms]) {
		const spec = withValue({ ...least, ...form }, path, value);
		if (spec === null || !SCHEMAS[kind].safeParse(document(kind, id, spec)).success) continue;
		const own = resourcesFrom(scene(kind, id, spec, tls));
		if (own === null) continue;
		// Some fields require Gateways that authenticate all callers.
		const places = [common(), common().slice(0, 1)];
		if (places.every((place) => checkResources(resourceSet([...place, ...own])).length > 0)) continue;
		const name = `${kind} spec.${path.join(".")} = ${JSON.stringify(value).slice(0, 120)}`;
		const ofText = typeof value === "string" && isText(schema);
		const isFull = value instanceof FullList;
		return [{ name, resources: own, ofGateway: kind === "Gateway", isText: ofText, isFull }];
	}
	return [];
}

/** null = one of them is invalid. */
function resourcesFrom(documents: readonly Document[]): readonly Resource[] | null {
	const read = documents.map((one) => SCHEMAS[one.kind].safeParse(one).data ?? null);
	return read.every((one) => one !== null) ? read : null;
}

/** Two Gateways for all Services: one authenticates callers and users, the other only users. */
const common = (): readonly Resource[] => {
	const tokens = [{ issuer: "https://id.example", audiences: ["weir"], jwksFile: KEYS }];
	const documents = [
		document("Gateway", "secure", { port: 8443, tls: { identity: "mesh" }, region: "eu", tokens }),
		document("Gateway", "plain", { port: 8080, tokens }),
	];
	return resourcesFrom(documents) ?? [];
};

const document = (kind: Kind, name: string, spec: object, namespace = "default"): Document => ({
	apiVersion: "weir.dev/v1alpha1",
	kind,
	metadata: { name, namespace },
	spec,
});

/** The document of the kind, with the resources that it needs. */
function scene(kind: Kind, id: string, spec: object, tls: object): readonly Document[] {
	if (kind === "Gateway") return [document(kind, id, spec)];
	const { Service, AccessPolicy, Experiment, Layer } = bases(id, tls);
	const of = (other: Kind, name: string, least: object) => document(other, name, kind === other ? spec : least);
	return [
		of("Service", id, Service.least),
		of("AccessPolicy", id, AccessPolicy.least),
		...(kind === "Service" ? [document("AccessPolicy", `${id}-users`, { services: [id], tenants: ["t"] })] : []),
		of("Layer", id, Layer.least),
		...(kind === "Experiment" || kind === "Layer" ? [of("Experiment", id, Experiment.least)] : []),
	];
}

/** A copy with the value at the path; null = the path does not exist. */
function withValue(from: unknown, [step, ...rest]: readonly Step[], value: unknown): object | null {
	const inner = (at: unknown): unknown => {
		if (rest.length > 0) return withValue(at, rest, value);
		return value instanceof FullList ? value.from(at) : value;
	};
	if (step === 0) {
		const items = Array.isArray(from) ? from : [];
		const first = inner(items[0]);
		return first === null && (rest.length > 0 || value !== null) ? null : [first, ...items.slice(1)];
	}
	if (step === undefined || Array.isArray(from) || (typeof from !== "object" && from !== undefined)) return null;
	const fields = (from ?? {}) as Record<string, unknown>;
	const field = inner(fields[step]);
	return field === null && (rest.length > 0 || value !== null) ? null : { ...fields, [step]: field };
}

/** The resources that control publishes for these cases, with the keys inline. */
export function planOf(cases: readonly Extreme[]): CompiledPlan {
	const resources = resourceSet([...common(), ...cases.flatMap((one) => one.resources)]);
	const issuers = resources.gateways.flatMap(({ spec }) => spec.tokens);
	return compile(resources, EMPTY_STATUS, {
		collectors: COLLECTORS,
		sidecar: "always",
		keySets: Object.fromEntries(issuers.map(({ keys }) => [keySetName(keys), EMPTY_KEY_SET])),
	});
}
