/**
 * Tells gates of rollbacks, at least once each: what is to be told lies in the durable outbox, written with the
 * rollback, and leaves it only after a 2xx. A restart tells again what was not crossed out, with the same idempotency
 * id. The rollback itself has long happened. The namespaces take turns, with a few places each at most: gates that hang
 * keep nobody else's from being told.
 */
import { WeirError } from "../error.js";
import { GATES_TOLD_AT_ONCE_IN_NAMESPACE_MAX, GATES_TOLD_AT_ONCE_MAX } from "../limits.js";
import { grouping } from "../resources/lookup.js";
import { namespaceOf } from "../resources/resource.js";
import { gateHost } from "./gate.js";
import { type GateReport, reported, retryPause } from "./gateKeeper.js";
import type { Clock, Outbox, Untold, Webhook } from "./ports.js";

export interface TellerOptions {
	readonly outbox: Outbox;
	readonly webhook: Webhook;
	readonly clock: Clock;
	readonly report: (answer: GateReport) => void;
	/** Told once when the outbox's owner is gone, or where what it keeps cannot be read. */
	readonly holding: (error: WeirError) => void;
}

/** How often the outbox is looked at: a rollback is told within about this. */
const LOOK_MS = 500;

const byNamespace = grouping<Untold>(({ experiment }) => [namespaceOf(experiment)]);

interface Wait {
	readonly failures: number;
	readonly againAtMs: number;
	/** It was held by an error, which is told once. */
	readonly held: boolean;
}

export class Teller {
	readonly #waits = new Map<string, Wait>();
	/** What is under way, with its namespace. */
	readonly #telling = new Map<string, string>();
	/** Namespaces that something waits of, in the order of their turns. */
	readonly #turns = new Set<string>();
	#cancel: (() => void) | null = null;
	#stopped = true;
	#holding = false;

	constructor(private readonly options: TellerOptions) {}

	start(): void {
		this.#stopped = false;
		this.#schedule(0);
	}

	/** Nothing new is told after that; what is under way is told again after the next start, if it was not taken. */
	stop(): void {
		this.#stopped = true;
		this.#cancel?.();
	}

	#schedule(ms: number): void {
		if (this.#stopped) return;
		this.#cancel = this.options.clock.after(ms, () => {
			void this.look().finally(() => this.#schedule(LOOK_MS));
		});
	}

	/** One look at the outbox: starts what is due. Never rejects. */
	async look(): Promise<void> {
		let untold: readonly Untold[];
		try {
			untold = await this.options.outbox.untold();
			this.#holding = false;
		} catch (thrown) {
			this.#hold(thrown);
			return;
		}
		const keys = new Set(untold.map(({ key }) => key));
		for (const key of this.#waits.keys()) if (!keys.has(key)) this.#waits.delete(key);
		const all = byNamespace(untold);
		for (const namespace of this.#turns) if (!all.has(namespace)) this.#turns.delete(namespace);
		for (const namespace of all.keys()) this.#turns.add(namespace);
		const waiting = this.#waiting(untold);
		while (!this.#stopped && this.#telling.size < GATES_TOLD_AT_ONCE_MAX) {
			const next = this.#next(waiting);
			if (next === null) return;
			void this.#tell(next);
		}
	}

	/** What is due, by namespace: first what was not tried yet, then what is due the longest. */
	#waiting(untold: readonly Untold[]): ReadonlyMap<string, Untold[]> {
		const nowMs = this.options.clock.nowMs();
		const againAtMs = ({ key }: Untold): number => this.#waits.get(key)?.againAtMs ?? 0;
		const due = untold.filter((one) => againAtMs(one) <= nowMs && !this.#telling.has(one.key));
		const groups = [...byNamespace(due)];
		return new Map(groups.map(([of, own]) => [of, [...own].sort((a, b) => againAtMs(a) - againAtMs(b))]));
	}

	/** Of the namespace whose turn it is, and has a place left; the others come before it again. */
	#next(waiting: ReadonlyMap<string, Untold[]>): Untold | null {
		const places = [...this.#telling.values()];
		for (const namespace of this.#turns) {
			if (places.filter((of) => of === namespace).length >= GATES_TOLD_AT_ONCE_IN_NAMESPACE_MAX) continue;
			const next = waiting.get(namespace)?.shift();
			if (next === undefined) continue;
			this.#turns.delete(namespace);
			this.#turns.add(namespace);
			return next;
		}
		return null;
	}

	async #tell({ key, experiment }: Untold): Promise<void> {
		const { webhook, clock, outbox, report } = this.options;
		const { failures = 0, held = false } = this.#waits.get(key) ?? {};
		let holds = held;
		this.#telling.set(key, namespaceOf(experiment));
		try {
			const message = await outbox.message(key);
			if (message === null) return;
			const { gate, question } = message;
			const answer = await webhook(gate, question);
			report({ experiment, at: gate.at, where: gateHost(gate.url), ...reported(answer) });
			// Not crossed out: it is told again, which the receiver knows by the id.
			if (answer.ok) await outbox.told(key);
		} catch (thrown) {
			if (!held) this.#hold(thrown);
			holds = true;
		} finally {
			// Whatever came of it: what cannot even be read would take the places of the namespace's others at each look.
			this.#waits.set(key, { failures: failures + 1, againAtMs: clock.nowMs() + retryPause(failures), held: holds });
			this.#telling.delete(key);
		}
	}

	/** Tells of an error once, until the outbox is read again. */
	#hold(thrown: unknown): void {
		if (!this.#holding) this.options.holding(WeirError.from(thrown));
		this.#holding = true;
	}
}
