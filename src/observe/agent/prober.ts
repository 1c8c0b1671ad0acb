/** One round of the bypass probe at this machine's Envoy. */
import { setTimeout as pause } from "node:timers/promises";
import {
	type Guard,
	judgeProbes,
	type ProbeAnswer,
	type ProbedGateway,
	type ProbedService,
	type ProbeReport,
	type ProbeResult,
	type ProbeTargets,
} from "../../compile/access/bypass/probe.js";
import { ACTIVE, type ByJudge, ServedCounts, TRIES, VERDICTS } from "../../compile/access/bypass/served.js";
import { WeirError } from "../../error.js";
import type { Bound, EnvoyAdmin } from "./envoyAdmin.js";
import { type ProbeTls, sendProbe } from "./sendProbe.js";

/** Services of one Gateway that are probed concurrently, with a connection each. */
const PROBES_AT_ONCE = 8;

/** Pause before a suspected bypass is probed again: Envoy may take a moment to apply a change. */
const PROBE_AGAIN_MS = 3_000;

export interface ProberOptions {
	readonly admin: EnvoyAdmin;
	/** Identity for mesh listeners; null = none. */
	readonly meshTls: (() => ProbeTls) | null;
	/** Delay before a suspected bypass is probed again. */
	readonly againMs?: number;
}

type Answers = Readonly<Record<Guard, ProbeAnswer>>;

export class Prober {
	readonly #served = new ServedCounts();

	constructor(private readonly options: ProberOptions) {}

	/** Never rejects. */
	async round(targets: ProbeTargets): Promise<ProbeReport> {
		const { version, gateways, services } = targets;
		try {
			const listeners = await this.options.admin.listeners();
			const probeAll = (): Promise<readonly ProbeResult[]> =>
				Promise.all(gateways.map((one) => this.#probe(one, listeners.get(one.name), services))).then((all) =>
					all.flat(),
				);
			let results = await probeAll();
			// An Envoy may need a moment to apply a new plan.
			if (results.some(({ outcome }) => outcome === "bypassed")) {
				await pause(this.options.againMs ?? PROBE_AGAIN_MS);
				results = await probeAll();
			}
			return { version, results, unjudged: await this.#unjudged(services) };
		} catch (error) {
			const detail = WeirError.from(error).message;
			const results = gateways.flatMap(({ name }) => allOf(name, services, "unanswered", detail));
			return { version, results, unjudged: { envoy: 0, sidecar: 0 } };
		}
	}

	async #probe(
		{ name, tls }: ProbedGateway,
		bound: Bound | undefined,
		services: readonly ProbedService[],
	): Promise<readonly ProbeResult[]> {
		if (tls === "client-ca")
			return allOf(name, services, "unprobed", "the listener demands a client certificate of its own CA");
		if (bound === undefined) return allOf(name, services, "unanswered", "Envoy has no such listener");
		const { meshTls } = this.options;
		if (tls === "mesh" && meshTls === null)
			return allOf(name, services, "unanswered", "the listener is of the mesh, and weir envoy has no --identity");
		// A certificate from files may be of any CA, and the probe sends no secret.
		const ofListener = tls === "none" ? null : tls === "mesh" ? meshTls : () => ({ rejectUnauthorized: false });
		const at = reachable(bound);
		const ask = async ({ host }: ProbedService): Promise<Answers> => ({
			gate: await sendProbe(at, ofListener, host, "gate"),
			rules: await sendProbe(at, ofListener, host, "rules"),
		});
		const [first, ...others] = services;
		if (first === undefined) return [];
		const answers = await ask(first);
		// If no one listens or Envoy hangs, each further probe would run into its timeout.
		const silent = answers.gate.status === null && answers.rules.status === null;
		const all = [answers, ...(silent ? others.map(() => answers) : await mapSome(others, PROBES_AT_ONCE, ask))];
		return services.map((service, index) => ({
			gateway: name,
			service: service.name,
			...judgeProbes(all[index] ?? answers),
		}));
	}

	async #unjudged(services: readonly ProbedService[]): Promise<ByJudge> {
		const { admin } = this.options;
		return this.#served.take(services, {
			verdictsBefore: await admin.counters(VERDICTS),
			active: await admin.counters(ACTIVE),
			tries: await admin.counters(TRIES),
			verdictsAfter: await admin.counters(VERDICTS),
		});
	}
}

const allOf = (
	gateway: string,
	services: readonly ProbedService[],
	outcome: ProbeResult["outcome"],
	detail: string,
): readonly ProbeResult[] => services.map(({ name }) => ({ gateway, service: name, outcome, detail }));

/** A listener on all addresses is reached by loopback. */
const reachable = ({ address, port }: Bound): Bound => ({
	address: address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address,
	port,
});

/** Keeps the order; `atOnce` run at the same time. */
async function mapSome<From, To>(
	from: readonly From[],
	atOnce: number,
	map: (one: From) => Promise<To>,
): Promise<readonly To[]> {
	const to: To[] = [];
	const left = from.entries();
	const some = async (): Promise<void> => {
		for (const [index, one] of left) to[index] = await map(one);
	};
	await Promise.all(Array.from({ length: atOnce }, some));
	return to;
}
