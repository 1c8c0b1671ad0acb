/**
 * Declarations that do what `weir promote` does: callers of a Service come to another Variant by them, as its default, by
 * a host that goes to another Service, or by an endpoint that goes from one Variant to another. More or fewer endpoints of
 * a Variant move nobody. What runs behind an address Weir cannot see, nor that an endpoint which comes back had been
 * another Variant's: the audit log shows who did that. Pure.
 */
import { oneSpelling } from "../resources/checkShared.js";
import { experimentsOf, serviceOf } from "../resources/lookup.js";
import { type Endpoint, type Gate, qualifiedName, type Resource, type Service } from "../resources/resource.js";
import type { State } from "../rollout/ports.js";
import { liveDefault } from "../rollout/status.js";
import { promotionsWait } from "./approval.js";
import { running } from "./crossCheck.js";
import { heldGates } from "./gatesWeakened.js";

export interface PromotedByHand {
	readonly namespace: string;
	/** `moves the default Variant of Service model from v1 to v2` */
	readonly effect: string;
	/** An Experiment holds gates before a promotion over the Service (gatesWeakened.ts), and nobody asks them for this one. */
	readonly passesGates: boolean;
}

/**
 * Such a change counts as a promotion where promotions are watched: an Experiment runs on the Service, or an
 * ApprovalPolicy covers promotions of the namespace. There a Service that is deleted counts too, and a host that is taken
 * from it, for either could be declared anew with the other default. Elsewhere it is a declaration like any other.
 * @param changed before null = created, after null = deleted
 */
export function promotionsIn(
	{ resources, status }: Pick<State, "resources" | "status">,
	changed: readonly { readonly before: Resource | null; readonly after: Resource | null }[],
): readonly PromotedByHand[] {
	const live = running(status);
	const held = heldGates({ resources, status });
	const experiments = resources.experiments.filter((one) => live.has(qualifiedName(one.metadata)));
	const services = new Set(experiments.map(serviceOf));
	const gated = new Set(experiments.filter((one) => holdsPromotions(held(one))).map(serviceOf));
	const isWatched = ({ metadata }: Service): boolean =>
		services.has(qualifiedName(metadata)) || promotionsWait(resources.approvalPolicies, metadata.namespace);
	const promotion = ({ metadata }: Service, effect: string): PromotedByHand => ({
		namespace: metadata.namespace,
		effect,
		passesGates: gated.has(qualifiedName(metadata)),
	});
	const defaultMoved = (service: Service, effect: string): readonly PromotedByHand[] => {
		// Those that ended without a promotion hold the default Variant still.
		const ended = experimentsOf(resources.experiments, service)
			.filter((one) => !live.has(qualifiedName(one.metadata)) && holdsPromotions(held(one)))
			.map(({ metadata }) => qualifiedName(metadata));
		const made = promotion(service, effect);
		if (made.passesGates || ended.length === 0) return isWatched(service) ? [made] : [];
		const past = `past the gates of Experiment ${ended.join(", ")}, which ended without a promotion`;
		return [{ ...made, effect: `${effect}, ${past}`, passesGates: true }];
	};
	const moved = changed.flatMap(({ before, after }): readonly PromotedByHand[] => {
		if (before?.kind !== "Service") return [];
		const name = qualifiedName(before.metadata);
		const old = liveDefault(before, status);
		const watched = isWatched(before);
		if (after?.kind !== "Service")
			return watched ? [promotion(before, `takes away the default Variant ${old} of Service ${name}`)] : [];
		const next = nextDefault(before, after, old);
		const effects = [
			...before.spec.hosts
				.filter((host) => !after.spec.hosts.includes(host))
				.map((host) => `takes host ${host} from Service ${name}`),
			...swapped(before, after).map((swap) => `moves endpoint ${swap} of Service ${name}`),
		];
		return [
			...(next === old
				? []
				: defaultMoved(before, `moves the default Variant of Service ${name} from ${old} to ${next}`)),
			...(watched ? effects.map((effect) => promotion(before, effect)) : []),
		];
	});
	// A host under a Service's wildcard is that Service's until another one of the namespace declares it; no other may.
	const carved = changed.flatMap(({ before, after }): PromotedByHand[] => {
		if (after?.kind !== "Service") return [];
		const had = before?.kind === "Service" ? before.spec.hosts : [];
		const fresh = after.spec.hosts.filter((host) => !had.includes(host));
		return resources.services
			.filter(({ metadata }) => metadata.namespace === after.metadata.namespace)
			.filter((one) => one.metadata.name !== after.metadata.name && isWatched(one))
			.flatMap((one) =>
				fresh
					.filter((host) => one.spec.hosts.some((other) => other.startsWith("*.") && host.endsWith(other.slice(1))))
					.map((host) => promotion(one, `takes host ${host} from Service ${qualifiedName(one.metadata)}`)),
			);
	});
	return [...new Map([...moved, ...carved].map((one) => [`${one.namespace} ${one.effect}`, one])).values()];
}

const holdsPromotions = (gates: readonly Gate[]): boolean => gates.some(({ at }) => at === "before-promotion");

/** A field that stays as it was leaves a promoted Variant in its place, as long as it is declared. */
function nextDefault(before: Service, after: Service, live: string): string {
	const stays = after.spec.defaultVariant === before.spec.defaultVariant;
	return stays && after.spec.variants.some(({ name }) => name === live) ? live : after.spec.defaultVariant;
}

/** `a.internal:9002 from Variant v2 to v1`: endpoints of one Variant that become another's, which had not had them, however spelt. */
function swapped(before: Service, after: Service): readonly string[] {
	return after.spec.variants.flatMap(({ name, endpoints }) =>
		endpoints.flatMap((endpoint) => {
			const had = before.spec.variants.filter((variant) => has(variant, endpoint)).map((variant) => variant.name);
			if (had.length === 0 || had.includes(name)) return [];
			return [`${endpoint.address}:${endpoint.port} from Variant ${had.join(", ")} to ${name}`];
		}),
	);
}

const has = ({ endpoints }: Service["spec"]["variants"][number], { address, port }: Endpoint): boolean =>
	endpoints.some((one) => one.port === port && oneSpelling(one.address) === oneSpelling(address));
