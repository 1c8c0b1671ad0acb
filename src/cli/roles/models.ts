/**
 * The models that Variants serve: control replaces each alias of a Variant by the digest that is in force, so that a plan
 * names exact bytes. A digest is in force once the predictor serves it; until then, and if it cannot, the one before stays.
 */
import {
	type Endpoint,
	qualifiedName,
	type ResourceSet,
	type Service,
	type Variant,
} from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import type { Log } from "../../observe/telemetry/log.js";
import { type GatewayAlarm, MODEL_NOT_SERVED } from "../../operate/api/wire.js";
import type { ModelStore, ResolvedModel } from "../../serve/registry/store.js";
import { watchStore } from "../../serve/registry/watch.js";

/** Weir's own predictor, for Variants without endpoints. */
export interface ModelHost {
	readonly endpoint: Endpoint;
	/** Its SPIFFE id. */
	readonly id: string;
	/** Resolves when it serves the model. @throws WeirError that says why it cannot */
	load(model: ResolvedModel): Promise<void>;
}

export interface ModelsOptions {
	/** null = aliases cannot be resolved. */
	readonly store: ModelStore | null;
	readonly host: ModelHost | null;
	readonly log: Log;
	/** An alias has moved. */
	readonly changed: () => void;
}

export class ModelsInForce {
	/** By `NAMESPACE/SERVICE VARIANT`: the reference and the digest in force. */
	readonly #inForce = new Map<string, { readonly model: string; readonly served: string }>();
	#faults: readonly GatewayAlarm[] = [];
	readonly #unwatch: () => void;

	constructor(private readonly options: ModelsOptions) {
		const { store, changed } = options;
		this.#unwatch = store === null ? () => {} : watchStore(store.directory, changed);
	}

	/** Variants that serve no model, or an older one than their alias names, and why. */
	alarms(): readonly GatewayAlarm[] {
		return this.#faults;
	}

	close(): void {
		this.#unwatch();
	}

	/** The same resources, in which each Variant's model is a digest and names where it is served. Never rejects. */
	async of(resources: ResourceSet): Promise<ResourceSet> {
		if (!resources.services.some(({ spec }) => spec.variants.some(({ model }) => model !== undefined))) {
			this.#faults = [];
			return resources;
		}
		const faults: GatewayAlarm[] = [];
		const services = await Promise.all(resources.services.map((service) => this.#service(service, faults)));
		for (const { why } of faults) {
			if (this.#faults.some((before) => before.why === why)) continue;
			this.options.log.warn("a model is not served", { why: why ?? "" });
		}
		this.#faults = faults;
		return { ...resources, services };
	}

	async #service(service: Service, faults: GatewayAlarm[]): Promise<Service> {
		const { metadata, spec } = service;
		if (spec.variants.every(({ model }) => model === undefined)) return service;
		const variants = await Promise.all(
			spec.variants.map((variant) => this.#variant(qualifiedName(metadata), variant, faults)),
		);
		const { host } = this.options;
		const hosted = spec.variants.some(({ model, endpoints }) => model !== undefined && endpoints.length === 0);
		const identities = spec.identities ?? (hosted && host !== null ? [host.id] : null);
		return { metadata, kind: service.kind, spec: { ...spec, variants, identities } };
	}

	async #variant(service: string, variant: Variant, faults: GatewayAlarm[]): Promise<Variant> {
		const { model } = variant;
		if (model === undefined) return variant;
		const key = `${service} ${variant.name}`;
		const before = this.#inForce.get(key);
		let served = before?.model === model ? before.served : null;
		try {
			served = await this.#serve(model, variant);
			this.#inForce.set(key, { model, served });
		} catch (error) {
			const { message, hint } = WeirError.from(error);
			const still = served === null ? "it answers 503" : `it serves ${served} as before`;
			const why = `Variant ${variant.name} of Service ${service}, model ${model}: ${message}${hint === "" ? "" : `; ${hint}`}; ${still}`;
			faults.push({ gateway: "", alarm: MODEL_NOT_SERVED, why });
		}
		if (variant.endpoints.length > 0) return served === null ? variant : { ...variant, model: served };
		const { host } = this.options;
		if (served === null || host === null) return variant;
		return { ...variant, model: served, endpoints: [host.endpoint] };
	}

	/** @returns `NAME@sha256:…`, which the predictor serves */
	async #serve(model: string, { endpoints }: Variant): Promise<string> {
		const { store, host } = this.options;
		if (store === null) {
			if (endpoints.length > 0 && model.includes("@sha256:")) return model;
			throw new WeirError("failed-precondition", "control has no store of models", "start it with --store DIRECTORY");
		}
		const resolved = await store.resolve(model);
		if (endpoints.length === 0) {
			if (host === null) {
				const hint = "start control with --predictor ADDRESS:PORT, or give the Variant endpoints";
				throw new WeirError("failed-precondition", "no predictor is known", hint);
			}
			await host.load(resolved);
		}
		return `${resolved.name}@${resolved.digest}`;
	}
}
