/**
 * Declarations that do what `weir promote` does: callers of a Service come to another Variant by them, as its default, by
 * a host that goes to another Service, or by an endpoint that goes from one Variant to another. More or fewer endpoints of
 * a Variant move nobody. What runs behind an address Weir cannot see, nor that an endpoint which comes back had been
 * another Variant's: the audit log shows who did that. Pure.
 */
import { oneSpelling } from "../resources/checkShared.js";
import { wildcardsOver } from "../resources/host.js";
import { experimentsOf, inNamespace } from "../resources/lookup.js";
import { once } from "../resources/once.js";
import {
	type Endpoint,
	type Experiment,
	type Gate,
	qualifiedName,
	type Resource,
	type Service,
} from "../resources/resource.js";
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
	/** As GatesWeakened has it. */
	readonly cure?: string;
}

/**
 * Such a change counts as a promotion where promotions are watched: an Experiment runs on the Service, or one that ended
 * without a promotion holds gates over it still, or an ApprovalPolicy covers promotions of the namespace. There a Service that is deleted counts too, and a host that is taken
 * from it, for either could be declared anew with the other default. Elsewhere it is a declaration like any other.
 * @param changed before null = created, after null = deleted
 */
export function promotionsIn(
	{ resources, status }: Pick<State, "resources" | "status">,
	changed: readonly { readonly before: Resource | null; readonly after: Resource | null }[],
): readonly PromotedByHand[] {
	const live = running(status);
	const held = heldGates({ resources, status });
	const isLive = (one: Experiment): boolean => live.has(qualifiedName(one.metadata));
	const watch = once((service: Service) => {
		const all = experimentsOf(resources.experiments, service);
		const [running, ended] = [all.filter(isLive), all.filter((one) => !isLive(one) && holdsPromotions(held(one)))];
		return {
			isWatched:
				running.length + ended.length > 0 || promotionsWait(resources.approvalPolicies, service.metadata.namespace),
			passesGates: ended.length > 0 || running.some((one) => holdsPromotions(held(one))),
			ended: running.some((one) => holdsPromotions(held(one))) ? [] : ended,
			/** The Variants that people have, but for the default one. */
			variants: new Set(running.flatMap(({ spec }) => spec.arms.map(({ variant }) => variant))),
		};
	});
	const promotion = (service: Service, effect: string): PromotedByHand => {
		const { passesGates, ended } = watch(service);
		const { namespace } = service.metadata;
		if (ended.length === 0) return { namespace, effect, passesGates };
		const names = ended.map(({ metadata }) => qualifiedName(metadata)).join(", ");
		return {
			namespace,
			effect: `${effect}, past the gates of Experiment ${names}, which ended without a promotion`,
			passesGates,
			cure: "declare another Experiment with those gates, whose winner they are asked for, or ask an admin to apply it",
		};
	};
	const moved = changed.flatMap(({ before, after }): readonly PromotedByHand[] => {
		if (before?.kind !== "Service" || !watch(before).isWatched) return [];
		const name = qualifiedName(before.metadata);
		const old = liveDefault(before, status);
		if (after?.kind !== "Service")
			return [promotion(before, `takes away the default Variant ${old} of Service ${name}`)];
		const next = nextDefault(before, after, old);
		const kept = new Set(after.spec.hosts);
		const effects = [
			...(next === old ? [] : [`moves the default Variant of Service ${name} from ${old} to ${next}`]),
			...before.spec.hosts.filter((host) => !kept.has(host)).map((host) => `takes host ${host} from Service ${name}`),
			...swapped(before, after, new Set([old, next, ...watch(before).variants])).map(
				(swap) => `moves endpoint ${swap} of Service ${name}`,
			),
		];
		return effects.map((effect) => promotion(before, effect));
	});
	// A host under a Service's wildcard is that Service's until another one of the namespace declares it; no other may.
	const carved = changed.flatMap(({ before, after }): PromotedByHand[] => {
		if (after?.kind !== "Service") return [];
		const had = new Set(before?.kind === "Service" ? before.spec.hosts : []);
		const fresh = after.spec.hosts.filter((host) => !had.has(host));
		if (fresh.length === 0) return [];
		return inNamespace(resources.services, after.metadata.namespace)
			.filter((one) => one.metadata.name !== after.metadata.name && watch(one).isWatched)
			.flatMap((one) =>
				fresh
					.filter((host) => wildcardsOver(host).some((wildcard) => hostsOf(one).has(wildcard)))
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

const hostsOf = once(({ spec }: Service): ReadonlySet<string> => new Set(spec.hosts));

/**
 * `a.internal:9002 from Variant v2 to v1`: endpoints of one Variant that become another's, which had not had them, however spelt.
 * @param used Variants that people have: what a further one gets moves nobody
 */
function swapped(before: Service, after: Service, used: ReadonlySet<string>): readonly string[] {
	const owners = new Map<string, string[]>();
	for (const { name, endpoints } of before.spec.variants)
		for (const endpoint of endpoints) {
			const server = serverOf(endpoint);
			const known = owners.get(server);
			if (known === undefined) owners.set(server, [name]);
			else if (known.at(-1) !== name) known.push(name);
		}
	return after.spec.variants
		.filter(({ name }) => used.has(name))
		.flatMap(({ name, endpoints }) =>
			endpoints.flatMap((endpoint) => {
				const had = owners.get(serverOf(endpoint)) ?? [];
				if (had.length === 0 || had.includes(name)) return [];
				return [`${endpoint.address}:${endpoint.port} from Variant ${had.join(", ")} to ${name}`];
			}),
		);
}

const serverOf = ({ address, port }: Endpoint): string => `${oneSpelling(address)} ${port}`;
