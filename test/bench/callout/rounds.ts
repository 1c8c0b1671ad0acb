/**
 * Alternating rounds of requests through the Envoy of each form: CPU microseconds of Envoy and callout server per request.
 * One load generator serves all forms, so that other load affects all alike.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { LoadOrder, LoadReport } from "../native/load.js";
import { median } from "../native/median.js";
import { cpuUs } from "../native/processCpu.js";
import { HOST } from "./declaration.js";
import type { ClientTls, Form } from "./form.js";

/** CPU µs per request of one round. */
export interface Cost {
	readonly envoy: number;
	readonly server: number;
}

export interface Load {
	/** CPU of the upstreams, which are in the same process. */
	readonly ports: readonly number[];
	/**
	 * @param cold the server may still shed, as it is slow until its code is compiled
	 * @throws Error unless every request is answered with 200, where the server is not cold
	 */
	round(form: Form, requests: number, cold?: boolean): Promise<Cost>;
	stop(): Promise<void>;
}

/** @param tls who the clients are @param lines header lines, one in each request, in turn */
export async function startLoad(tls: ClientTls, lines: readonly string[] = []): Promise<Load> {
	const child = fork(new URL("../native/load.js", import.meta.url));
	const [{ ports }] = (await once(child, "message")) as [{ ports: readonly number[] }];
	return {
		ports,
		async round({ name, envoy, server }, requests, cold = false) {
			const used = async () => ({
				envoy: await cpuUs(envoy.pid),
				server: server === null ? 0 : await cpuUs(server.pid),
			});
			const before = await used();
			child.send({ port: envoy.port(), host: HOST, requests, tls, lines } satisfies LoadOrder);
			const [{ ok }] = (await once(child, "message")) as [LoadReport];
			if (ok !== requests && !cold) throw new Error(`${name}: ${requests - ok} of ${requests} requests failed`);
			const after = await used();
			return {
				envoy: (after.envoy - before.envoy) / requests,
				server: (after.server - before.server) / requests,
			};
		},
		stop: () => ended(child),
	};
}

export interface RoundsOrder {
	readonly rounds: number;
	readonly requests: number;
	readonly warmUp: number;
	/** Called with one line per round. */
	readonly say: (line: string) => void;
}

/** Costs by form name, in order of the rounds. */
export type Costs = ReadonlyMap<string, readonly Cost[]>;

export async function alternate(load: Load, forms: readonly Form[], order: RoundsOrder): Promise<Costs> {
	const costs = new Map<string, Cost[]>(forms.map(({ name }) => [name, []]));
	for (const form of forms) await load.round(form, order.warmUp, true);
	for (let index = 1; index <= order.rounds; index++) {
		const line: string[] = [];
		for (const form of forms) {
			const cost = await load.round(form, order.requests);
			costs.get(form.name)?.push(cost);
			line.push(`${form.name} ${cost.server.toFixed(1)}+${cost.envoy.toFixed(1)}`);
		}
		order.say(`round ${index} of ${order.rounds}: ${line.join(", ")}`);
	}
	return costs;
}

/** Median over rounds. */
export const medianUs = (costs: Costs, form: string, of: keyof Cost): number =>
	median((costs.get(form) ?? []).map((cost) => cost[of]));

/** Costs of Envoy and the server together, in order of the rounds. */
export const totalUs = (costs: Costs, form: string): readonly number[] =>
	(costs.get(form) ?? []).map(({ envoy, server }) => envoy + server);

/** Median of the rounds' own differences of what both cost together. */
export function medianAboveUs(costs: Costs, form: string, base: string): number {
	const others = totalUs(costs, base);
	return median(totalUs(costs, form).map((us, index) => us - (others[index] ?? Number.NaN)));
}

/** Median of the rounds' own ratios of the servers' costs. */
export function serverRatio(costs: Costs, form: string, to: string): number {
	const others = costs.get(to) ?? [];
	return median((costs.get(form) ?? []).map(({ server }, index) => server / (others[index]?.server ?? Number.NaN)));
}

/** Ends a child process that listens to "disconnect". */
export async function ended(child: ChildProcess): Promise<void> {
	child.disconnect();
	if (child.exitCode === null) await once(child, "exit");
}
