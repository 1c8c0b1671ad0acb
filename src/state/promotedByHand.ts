/**
 * Declarations that do what `weir promote` does: callers of a Service come to another Variant by them, as its default, by
 * a host that goes to another Service, or by an endpoint that goes from one Variant to another. More or fewer endpoints of
 * a Variant move nobody. What runs behind an address Weir cannot see, nor that an endpoint which comes back had been
 * another Variant's: the audit log shows who did that. Pure.
 */
import { serverKey } from "../resources/checkShared.js";
import { serviceOf } from "../resources/lookup.js";
import { type Endpoint, qualifiedName, type Resource, type Service } from "../resources/resource.js";
import type { State } from "../rollout/ports.js";
import { liveDefault } from "../rollout/status.js";
import { promotionsWait } from "./approval.js";
import { running } from "./crossCheck.js";
import { heldGates } from "./gatesWeakened.js";

export interface PromotedByHand {
	readonly namespace: string;
	/** `moves the default Variant of Service model from v1 to v2` */
	readonly effect: string;
	/** An Experiment that runs on the Service has gates before a promotion, and nobody asks them for this one. */
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
	const { experiments } = resources;
	const holding = experiments.filter((one) => held(one).some(({ at }) => at === "before-promotion"));
	const gated = new Set(holding.map(serviceOf));
	const services = new Set([
		...experiments.filter((one) => live.has(qualifiedName(one.metadata))).map(serviceOf),
		...gated,
	]);
	const isWatched = ({ metadata }: Service): boolean =>
		services.has(qualifiedName(metadata)) || promotionsWait(resources.approvalPolicies, metadata.namespace);
	const promotion = ({ metadata }: Service, effect: string): PromotedByHand => ({
		namespace: metadata.namespace,
		effect,
		passesGates: gated.has(qualifiedName(metadata)),
	});
	const moved = changed.flatMap(({ before, after }): PromotedByHand[] => {
		if (before?.kind !== "Service" || !isWatched(before)) return [];
		const name = qualifiedName(before.metadata);
		const old = liveDefault(before, status);
		if (after?.kind !== "Service") {
			return [promotion(before, `takes away the default Variant ${old} of Service ${name}`)];
		}
		const next = nextDefault(before, after, old);
		return [
			...(next === old ? [] : [`moves the default Variant of Service ${name} from ${old} to ${next}`]),
			...before.spec.hosts
				.filter((host) => !after.spec.hosts.includes(host))
				.map((host) => `takes host ${host} from Service ${name}`),
			...swapped(before, after).map((swap) => `moves endpoint ${swap} of Service ${name}`),
		].map((effect) => promotion(before, effect));
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

/** A field that stays as it was leaves a promoted Variant in its place, as long as it is declared. */
function nextDefault(before: Service, after: Service, live: string): string {
	const stays = after.spec.defaultVariant === before.spec.defaultVariant;
	return stays && after.spec.variants.some(({ name }) => name === live) ? live : after.spec.defaultVariant;
}

/** `a.internal:9002 from Variant v2 to v1`: servers of one Variant that become another's, which had not had them, however written. */
function swapped(before: Service, after: Service): readonly string[] {
	const variantsOf = ({ spec }: Service, server: string): readonly string[] =>
		spec.variants.filter(({ endpoints }) => endpoints.map(serverOf).includes(server)).map(({ name }) => name);
	const servers = new Map(
		after.spec.variants.flatMap(({ endpoints }) => endpoints.map((one) => [serverOf(one), one] as const)),
	);
	return [...servers].flatMap(([server, { address, port }]) => {
		const had = variantsOf(before, server);
		const fresh = variantsOf(after, server).filter((variant) => !had.includes(variant));
		if (had.length === 0) return [];
		return fresh.map((variant) => `${address}:${port} from Variant ${had.join(", ")} to ${variant}`);
	});
}

const serverOf = ({ address, port }: Endpoint): string => serverKey(address, port);
