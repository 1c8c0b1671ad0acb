/** What each process of the sidecar reports of itself, and the metrics that all reports together become. */

import type { Labels, Meter } from "../../observe/telemetry/meter.js";
import { AnswerCounters } from "../../publish/sidecar/counters.js";
import type { GrpcCounters } from "../../publish/sidecar/grpc/ports.js";
import type { GrpcCode } from "../../publish/sidecar/grpc/service.js";
import { firstToEnd, type Validity } from "../../trust/identity/validity.js";
import { HANDSHAKES_REFUSED, type HandshakeFault } from "../../trust/tls/handshake.js";

const HELP = {
	weir_sidecar_answers_total: "Answers by verdict and reason; verdict none is a failed callout.",
	weir_sidecar_shadow_total: "Answers whose verdict shadow policies would change.",
	weir_sidecar_responses_total: "Responses observed by ext_proc.",
	weir_sidecar_calls_total: "gRPC calls that ended, by status code.",
	weir_sidecar_shed_total: "Calls refused early because the sidecar was late.",
	weir_sidecar_faults_total: "Calls that failed by a fault of the sidecar's own.",
	weir_sidecar_broken_connections_total: "Connections that ended with a protocol error.",
	[HANDSHAKES_REFUSED.name]: HANDSHAKES_REFUSED.help,
} as const;

export interface CountRow {
	readonly name: keyof typeof HELP;
	readonly labels: Labels;
	readonly count: number;
}

export class ProcessCounts implements GrpcCounters {
	readonly answers = new AnswerCounters();
	readonly #calls = new Map<string, Map<GrpcCode, number>>();
	readonly #shed = new Map<string, number>();
	readonly #handshakes = new Map<HandshakeFault, number>();
	#faults = 0;
	#broken = 0;

	/** @param fault called with what a handler threw */
	constructor(private readonly fault: (path: string, error: unknown) => void) {}

	ended(path: string, code: GrpcCode): void {
		const codes = this.#calls.get(path) ?? new Map<GrpcCode, number>();
		this.#calls.set(path, codes);
		codes.set(code, (codes.get(code) ?? 0) + 1);
	}

	shed(path: string): void {
		this.#shed.set(path, (this.#shed.get(path) ?? 0) + 1);
	}

	threw(path: string, error: unknown): void {
		this.#faults++;
		this.fault(path, error);
	}

	brokeConnection(): void {
		this.#broken++;
	}

	failedHandshake(fault: HandshakeFault): void {
		this.#handshakes.set(fault, (this.#handshakes.get(fault) ?? 0) + 1);
	}

	rows(): readonly CountRow[] {
		return [
			...this.answers.answers().map(({ count, ...labels }) => row("weir_sidecar_answers_total", count, labels)),
			...this.answers.shadows().map(({ count, ...labels }) => row("weir_sidecar_shadow_total", count, labels)),
			...this.answers.responses().map(({ count, ...labels }) => row("weir_sidecar_responses_total", count, labels)),
			...[...this.#calls].flatMap(([method, codes]) =>
				[...codes].map(([code, count]) => row("weir_sidecar_calls_total", count, { method, code: String(code) })),
			),
			...[...this.#shed].map(([method, count]) => row("weir_sidecar_shed_total", count, { method })),
			...[...this.#handshakes].map(([reason, count]) =>
				row(HANDSHAKES_REFUSED.name, count, { listener: "sidecar", reason }),
			),
			row("weir_sidecar_faults_total", this.#faults, {}),
			row("weir_sidecar_broken_connections_total", this.#broken, {}),
		];
	}
}

const row = (name: CountRow["name"], count: number, labels: Labels): CountRow => ({ name, labels, count });

/** The report of one process. */
export interface Report {
	/** Counted since its start. */
	readonly rows: readonly CountRow[];
	/** Age of its table, in milliseconds. */
	readonly ageMs: number;
	readonly rejected: number;
	readonly closed: number;
	/** Validity of its SVID; null = it has no identity. */
	readonly validity: Validity | null;
}

/** Adds the counts of all processes to the meter, each once, and shows the worst of their tables. */
export class Reports {
	/** Newest reports of the living processes, by the primary's number of them. */
	readonly #newest = new Map<number, Report>();
	/** By process, name and labels: what the meter has of it already. */
	readonly #published = new Map<string, number>();

	constructor(private readonly meter: Meter) {}

	/** @param process a name that no later process has */
	take(id: number, process: string, report: Report): void {
		this.#newest.set(id, report);
		for (const { name, labels, count } of report.rows) {
			const key = `${process} ${name} ${JSON.stringify(labels)}`;
			const more = count - (this.#published.get(key) ?? 0);
			this.meter.count(name, HELP[name], labels, more);
			this.#published.set(key, count);
		}
		const most = (value: (one: Report) => number): number => Math.max(...[...this.#newest.values()].map(value));
		const gauge = (name: string, help: string, value: number): void => this.meter.gauge(name, help, value);
		gauge(
			"weir_sidecar_table_age_seconds",
			"Since control last confirmed the table.",
			most(({ ageMs }) => ageMs) / 1_000,
		);
		gauge(
			"weir_sidecar_tables_rejected",
			"Tables of control that were refused.",
			most(({ rejected }) => rejected),
		);
		gauge(
			"weir_sidecar_services_closed",
			"Services that cannot be executed, and deny everything.",
			most(({ closed }) => closed),
		);
	}

	/** It has ended. */
	drop(id: number): void {
		this.#newest.delete(id);
	}

	/** Validity of the SVID that ends first; null = there is none. */
	validity(): Validity | null {
		return firstToEnd([...this.#newest.values()].flatMap(({ validity }) => validity ?? []));
	}
}
