/**
 * Declarations that do what `weir promote` does: callers of a Service come to another Variant by them, as its default, by
 * a host that goes to another Service, or by an endpoint that goes from one Variant to another. More or fewer endpoints of
 * a Variant move nobody. What runs behind an address Weir cannot see, nor that an endpoint which comes back had been
 * another Variant's: the audit log shows who did that. Pure.
 */
import { oneSpelling } from "../../resources/address.js";
import { serverKey } from "../../resources/checks/shared.js";
import { hostMoves } from "../../resources/hostMoves.js";
import { experimentsOf } from "../../resources/lookup.js";
import { once } from "../../resources/once.js";
import {
	type Endpoint,
	type Experiment,
	qualifiedName,
	type Resource,
	type Service,
} from "../../resources/resource.js";
import type { State } from "../../rollout/ports.js";
import { liveDefault } from "../../rollout/status.js";
import { running } from "../acts/crossCheck.js";
import { promotionsWait } from "../approvals/approval.js";
import { heldGates, isAsked } from "./gatesWeakened.js";
import { listed, someOf } from "./named.js";

export interface PromotedByHand {
	readonly namespace: string;
	/** `moves the default Variant of Service model from v1 to v2` */
	readonly effect: string;
	/** An Experiment holds gates over the Service that `weir promote` or its takeover asks (gatesWeakened.ts), and nobody asks them for this one. */
	readonly passesGates: boolean;
	/** As GatesWeakened has it. */
	readonly cure?: string;
}

/**
 * Such a change counts as a promotion where promotions are watched: an Experiment runs on the Service, or one that ended
 * without a promotion holds gates over it still, or an ApprovalPolicy covers promotions of the namespace. There a Service
 * that is deleted counts too, and a host that is taken from it, for either could be declared anew with the other default.
 * Elsewhere it is a declaration like any other.
 * @param changed before null = created, after null = deleted
 */
export function promotionsIn(
	{ resources, status }: Pick<State, "resources" | "status">,
	changed: readonly { readonly before: Resource | null; readonly after: Resource | null }[],
): readonly PromotedByHand[] {
	const live = running(status);
	const held = heldGates({ resources, status });
	const isLive = (one: Experiment): boolean => live.has(qualifiedName(one.metadata));
	const started = changed.flatMap(({ before, after }) =>
		before === null && after?.kind === "Experiment" ? [after] : [],
	);
	const watch = once((service: Service) => {
		const all = experimentsOf(resources.experiments, service);
		const [running, ended] = [all.filter(isLive), all.filter((one) => !isLive(one) && held(one).some(isAsked))];
		const gated = running.filter((one) => held(one).some(isAsked));
		const begins = experimentsOf(started, service);
		return {
			isWatched:
				running.length + ended.length > 0 || promotionsWait(resources.approvalPolicies, service.metadata.namespace),
			/** Whose gates nobody asks; of those that run, if any does. */
			passed: gated.length > 0 ? gated : ended,
			isOver: gated.length === 0,
			/** The Variants that people have, but for the default one. */
			variants: new Set([...running, ...begins].flatMap(({ spec }) => spec.arms.map(({ variant }) => variant))),
		};
	});
	const promotion = (service: Service, effect: string, cure?: string): PromotedByHand => {
		const { passed, isOver } = watch(service);
		const { namespace } = service.metadata;
		if (passed.length === 0) return { namespace, effect, passesGates: false };
		const names = someOf(passed.map(({ metadata }) => qualifiedName(metadata)));
		const past = `${effect}, past the gates of Experiment ${names}`;
		if (!isOver) return { namespace, effect: past, passesGates: true };
		const asked = `ask an admin to apply it, or to delete Experiment ${names}`;
		return {
			namespace,
			effect: `${past}, which ended without a promotion`,
			passesGates: true,
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
		const moves = [
			...(next === old ? [] : [`moves the default Variant of Service ${name} from ${old} to ${next}`]),
			...swapped(before, after, new Set([old, next, ...watch(before).variants])).map(
				(swap) => `moves ${swap} of Service ${name}`,
			),
		];
		const tried = "declare another Experiment with those gates, whose winner they are asked for";
		return moves.map((effect) => promotion(before, effect, tried));
	});
	const taken = new Map<Service, string[]>();
	for (const { host, from, isLeft } of hostMoves(resources.services, changed)) {
		// That a Service is deleted is told as such.
		if (!isLeft || !watch(from).isWatched) continue;
		const hosts = taken.get(from);
		if (hosts === undefined) taken.set(from, [host]);
		else hosts.push(host);
	}
	const hosts = [...taken].map(([from, names]) =>
		promotion(from, `takes ${listed("host", names)} from Service ${qualifiedName(from.metadata)}`),
	);
	return [...moved, ...hosts];
}

/** A field that stays as it was leaves a promoted Variant in its place, as long as it is declared. */
function nextDefault(before: Service, after: Service, live: string): string {
	const stays = after.spec.defaultVariant === before.spec.defaultVariant;
	return stays && after.spec.variants.some(({ name }) => name === live) ? live : after.spec.defaultVariant;
}

/**
 * `endpoint a.internal:9002 from Variant v2 to v1`: endpoints of one Variant that become another's, which had not had them,
 * however spelt. Addresses of this machine lead to one server or to several, so that one is a Variant's own only as it was written there.
 * @param used Variants that people have: what a further one gets moves nobody
 */
function swapped(before: Service, after: Service, used: ReadonlySet<string>): readonly string[] {
	const owners = new Map<string, Map<string, Set<string>>>();
	for (const { name, endpoints } of before.spec.variants)
		for (const endpoint of endpoints) {
			const server = serverOf(endpoint);
			const known = owners.get(server) ?? new Map<string, Set<string>>();
			owners.set(server, known.set(name, (known.get(name) ?? new Set()).add(oneSpelling(endpoint.address))));
		}
	return after.spec.variants
		.filter(({ name }) => used.has(name))
		.flatMap(({ name, endpoints }) => {
			const moves = new Map<string, string[]>();
			for (const endpoint of endpoints) {
				const had = owners.get(serverOf(endpoint));
				const others = [...(had?.keys() ?? [])].filter((other) => other !== name);
				if (others.length === 0 || had?.get(name)?.has(oneSpelling(endpoint.address))) continue;
				const from = others.join(", ");
				const told = `${endpoint.address}:${endpoint.port}`;
				const known = moves.get(from);
				if (known === undefined) moves.set(from, [told]);
				else known.push(told);
			}
			return [...moves].map(([from, told]) => `${listed("endpoint", told)} from Variant ${from} to ${name}`);
		});
}

const serverOf = ({ address, port }: Endpoint): string => serverKey(address, port);
