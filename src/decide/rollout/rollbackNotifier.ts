/**
 * Tells gates of rollbacks, at least once each: what is to be told lies in the durable outbox, written with the
 * rollback, and leaves it only after a 2xx. A restart tells again what was not crossed out, with the same idempotency
 * id. The rollback itself has long happened. What was not tried yet comes first, then what is due the longest.
 */
import { WeirError } from "../../error.js";
import { gateHost } from "./gate.js";
import { type GateReport, reported, retryPause } from "./gateApprovals.js";
import type { Clock, Outbox, Untold, Webhook } from "./ports.js";

/** Concurrent rollback notifications to gates: each one sent is a commit of control's API. */
export const GATE_NOTIFICATIONS_AT_ONCE_MAX = 32;

export interface RollbackNotifierOptions {
	readonly outbox: Outbox;
	readonly webhook: Webhook;
	readonly clock: Clock;
	readonly report: (answer: GateReport) => void;
	/** Told once when the outbox's owner is gone, or where what it keeps cannot be read. */
	readonly holding: (error: WeirError) => void;
}

/** How often the outbox is looked at: a rollback is told within about this. */
const LOOK_MS = 500;

interface Wait {
	readonly failures: number;
	readonly againAtMs: number;
	/** It was held by an error, which is told once. */
	readonly held: boolean;
}

export class RollbackNotifier {
	readonly #waits = new Map<string, Wait>();
	/** What is under way. */
	readonly #telling = new Set<string>();
	#cancel: (() => void) | null = null;
	#stopped = true;
	#holding = false;

	constructor(private readonly options: RollbackNotifierOptions) {}

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
		if (this.#stopped) return;
		const nowMs = this.options.clock.nowMs();
		const againAtMs = ({ key }: Untold): number => this.#waits.get(key)?.againAtMs ?? 0;
		const due = untold.filter((one) => againAtMs(one) <= nowMs && !this.#telling.has(one.key));
		due.sort((a, b) => againAtMs(a) - againAtMs(b));
		for (const one of due.slice(0, GATE_NOTIFICATIONS_AT_ONCE_MAX - this.#telling.size)) void this.#tell(one);
	}

	async #tell({ key, experiment }: Untold): Promise<void> {
		const { webhook, clock, outbox, report } = this.options;
		const { failures = 0, held = false } = this.#waits.get(key) ?? {};
		let holds = held;
		this.#telling.add(key);
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
			// Whatever came of it: what cannot even be read would take the places of others at each look.
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
