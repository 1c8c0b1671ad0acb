/**
 * Declarations that do what `weir promote` does: callers of a Service come to another Variant by them, as its default, by
 * a host that goes to another Service, or by an endpoint that goes from one Variant to another. More or fewer endpoints of
 * a Variant move nobody. What runs behind an address Weir cannot see, nor that an endpoint which comes back had been
 * another Variant's: the audit log shows who did that. Pure.
 */
import { oneSpelling } from "../resources/checkShared.js";
import { wildcardsOver } from "../resources/host.js";
import { experimentsOf, inNamespace } from "../resources/lookup.js";
import { once, oncePerName } from "../resources/once.js";
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

/** Experiments that an effect names. */
const NAMED_MAX = 3;

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
	const promotion = (service: Service, effect: string, cure?: string): PromotedByHand => {
		const { passesGates, ended } = watch(service);
		const { namespace } = service.metadata;
		if (ended.length === 0) return { namespace, effect, passesGates };
		const names = ended.slice(0, NAMED_MAX).map(({ metadata }) => qualifiedName(metadata));
		const more = ended.length > NAMED_MAX ? ` and ${ended.length - NAMED_MAX} more` : "";
		const past = `past the gates of Experiment ${names.join(", ")}${more}, which ended without a promotion`;
		const asked = `ask an admin to apply it, or to delete Experiment ${names.join(", ")}${more}`;
		return {
			namespace,
			effect: `${effect}, ${past}`,
			passesGates,
			cure: cure === undefined ? asked : `${cure}, or ${asked}`,
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
		const moves = [
			...(next === old ? [] : [`moves the default Variant of Service ${name} from ${old} to ${next}`]),
			...swapped(before, after, new Set([old, next, ...watch(before).variants])).map(
				(swap) => `moves endpoint ${swap} of Service ${name}`,
			),
		];
		const tried = "declare another Experiment with those gates, whose winner they are asked for";
		return [
			...moves.map((effect) => promotion(before, effect, tried)),
			...before.spec.hosts
				.filter((host) => !kept.has(host))
				.map((host) => promotion(before, `takes host ${host} from Service ${name}`)),
		];
	});
	// A host under a Service's wildcard is that Service's until another one of the namespace declares it; no other may.
	const wildcardsIn = oncePerName((namespace: string) => {
		const watched = inNamespace(resources.services, namespace).filter((one) => watch(one).isWatched);
		const hosts = watched.flatMap((one) => one.spec.hosts.map((host) => [host, one] as const));
		return new Map(hosts.filter(([host]) => host.startsWith("*.")));
	});
	const carved = changed.flatMap(({ before, after }): PromotedByHand[] => {
		if (after?.kind !== "Service") return [];
		const { name, namespace } = after.metadata;
		const had = new Set(before?.kind === "Service" ? before.spec.hosts : []);
		return after.spec.hosts
			.filter((host) => !had.has(host))
			.flatMap((host) =>
				wildcardsOver(host)
					.flatMap((wildcard) => wildcardsIn(namespace).get(wildcard) ?? [])
					.filter((one) => one.metadata.name !== name)
					.map((one) => promotion(one, `takes host ${host} from Service ${qualifiedName(one.metadata)}`)),
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
