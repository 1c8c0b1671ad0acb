/** A client of xds/isolation.ts that answers at once, as an Envoy does. */
import { Isolation } from "../../src/xds/isolation.js";
import { Publication } from "../../src/xds/publication.js";
import type { Refused } from "../../src/xds/refused.js";
import { SnapshotMaker } from "../../src/xds/snapshot.js";
import { published, tinyPlan } from "./tinyPlan.js";

/** Forms by Service; an Envoy refuses those that begin with `bad`. */
export type Declared = Readonly<Record<string, string>>;

let revisions = 0;

export function publication(services: Declared, gateways: Declared = {}): Publication {
	const forms = new Map([
		...Object.entries(services).map(([name, form]) => [`Service ${name}`, form] as const),
		...Object.entries(gateways).map(([name, form]) => [`Gateway ${name}`, form] as const),
	]);
	const envoy = tinyPlan({ gatewayPort: 1, services: {} });
	const closable = { forms: () => forms, close: () => envoy };
	revisions++;
	return new Publication({ ...published(envoy), closable }, revisions, new SnapshotMaker());
}

export interface Client {
	/** Whether its words name the Service. */
	readonly names: boolean;
	/** Its words; by default they tell the Service. */
	readonly words?: (service: string) => string;
	/** It holds nothing yet. */
	readonly fresh?: boolean;
	/** What it was tried with: the Services that were closed. */
	readonly trials: (readonly string[])[];
}

export const isBad = (declared: Declared, closed: ReadonlySet<string>): readonly string[] =>
	Object.entries(declared).flatMap(([name, form]) => (form.startsWith("bad") && !closed.has(name) ? [name] : []));

/** Answers as an Envoy until there is nothing more to try. @returns what is closed then, or null = all at the last good */
export function play(
	isolation: Isolation,
	declared: ReadonlyMap<Publication, Declared>,
	client: Client,
	nowMs = 7,
): readonly string[] | null {
	for (;;) {
		const target = isolation.target;
		if (target === null) return null;
		const { publication: on, closed } = target;
		const bad = isBad(declared.get(on) ?? {}, closed);
		client.trials.push([...closed].sort());
		const errors: Refused[] = bad.slice(0, 1).map((name) => ({
			type: "routes",
			source: client.names ? `Service ${name}` : "Gateway edge",
			words: client.words?.(name) ?? `no: ${name}`,
		}));
		const moved =
			errors.length > 0 ? isolation.refuse(errors, { nowMs, all: client.fresh ?? false }) : isolation.take([], nowMs);
		if (!moved) return errors.length > 0 ? null : [...closed].sort();
	}
}

export function scene(names = true, more: Pick<Client, "words" | "fresh"> = {}) {
	let nowMs = 7;
	const answer = (client: Client) => play(isolation, declared, client, nowMs);
	const isolation = new Isolation();
	const declared = new Map<Publication, Declared>();
	return {
		isolation,
		publish(services: Declared, gateways: Declared = {}) {
			const made = publication(services, gateways);
			declared.set(made, services);
			const client: Client = { names, trials: [], ...more };
			isolation.offer(made);
			return { closed: answer(client), trials: client.trials, revision: made.revision };
		},
		/** What follows by waiting alone. @returns what is closed then, and how long it took */
		rest(untilMs = 600_000) {
			const client: Client = { names, trials: [], ...more };
			const fromMs = nowMs;
			let closed = isolation.closed.map(({ service }) => service);
			while (isolation.resumesAtMs !== null && nowMs - fromMs < untilMs) {
				nowMs = isolation.resumesAtMs;
				if (isolation.resume(nowMs)) closed = [...(answer(client) ?? [])];
			}
			return { closed: closed.sort(), tookMs: nowMs - fromMs, trials: client.trials };
		},
		declared,
	};
}
