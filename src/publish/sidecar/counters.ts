/** Counters of the sidecar's answers. Labels are Services and reasons of the tables, so callers cannot create new series. */
import type { Ruling } from "./question.js";

export type Protocol = "ext_authz" | "ext_proc";

export interface AnswerCount {
	readonly protocol: Protocol;
	/** `-` = no Service was found. */
	readonly service: string;
	readonly verdict: Ruling["verdict"];
	readonly reason: Ruling["reason"];
	readonly count: number;
}

/** Answers with a different shadow verdict. */
export interface ShadowCount {
	readonly service: string;
	readonly policy: string;
	/** The shadow verdict. */
	readonly would: "allow" | "deny";
	readonly count: number;
}

/** Responses processed by ext_proc. */
export interface ResponseCount {
	readonly service: string;
	readonly variant: string;
	/** `2xx` and so on; `-` = no status. */
	readonly statusClass: string;
	readonly count: number;
}

interface Cell<Labels> {
	readonly labels: Labels;
	count: number;
}

type AnswerCell = Cell<Omit<AnswerCount, "count">>;
type ShadowCell = Cell<Omit<ShadowCount, "count">>;
type ResponseCell = Cell<Omit<ResponseCount, "count">>;

export class AnswerCounters {
	readonly #answers = new Map<string, AnswerCell>();
	readonly #shadows = new Map<string, ShadowCell>();
	readonly #responses = new Map<string, ResponseCell>();
	/** Cached per ruling, without building the key. */
	readonly #byRuling = { ext_authz: new WeakMap<Ruling, AnswerCell>(), ext_proc: new WeakMap<Ruling, AnswerCell>() };
	readonly #malformed = { ext_authz: 0, ext_proc: 0 };

	answered(protocol: Protocol, ruling: Ruling): void {
		let cell = this.#byRuling[protocol].get(ruling);
		if (cell === undefined) {
			const { service, verdict, reason } = ruling;
			cell = cellOf(this.#answers, { protocol, service: service ?? "-", verdict, reason });
			this.#byRuling[protocol].set(ruling, cell);
		}
		cell.count++;
		const { shadow, shadowPolicy } = ruling;
		if (shadow !== null) {
			const labels = { service: ruling.service ?? "-", policy: shadowPolicy ?? "-", would: shadow };
			cellOf(this.#shadows, labels).count++;
		}
	}

	/** Counts an unreadable message, which got no answer. */
	malformed(protocol: Protocol): void {
		this.#malformed[protocol]++;
	}

	/** @param status 0 = none */
	responded({ service, variant }: Ruling, status: number): void {
		const statusClass = status === 0 ? "-" : `${Math.floor(status / 100)}xx`;
		cellOf(this.#responses, { service: service ?? "-", variant: variant ?? "-", statusClass }).count++;
	}

	/** Since the start of the process; unreadable messages have the verdict none and no Service. */
	answers(): readonly AnswerCount[] {
		const broken = (["ext_authz", "ext_proc"] as const)
			.map((protocol) => ({ protocol, count: this.#malformed[protocol] }))
			.filter(({ count }) => count > 0)
			.map((row) => ({ ...row, service: "-", verdict: "none", reason: "malformed" }) as const);
		return [...[...this.#answers.values()].map(({ labels, count }) => ({ ...labels, count })), ...broken];
	}

	shadows(): readonly ShadowCount[] {
		return [...this.#shadows.values()].map(({ labels, count }) => ({ ...labels, count }));
	}

	responses(): readonly ResponseCount[] {
		return [...this.#responses.values()].map(({ labels, count }) => ({ ...labels, count }));
	}
}

function cellOf<Labels extends object>(cells: Map<string, Cell<Labels>>, labels: Labels): Cell<Labels> {
	const key = Object.values(labels).join("\n");
	let cell = cells.get(key);
	if (cell === undefined) {
		cell = { labels, count: 0 };
		cells.set(key, cell);
	}
	return cell;
}
