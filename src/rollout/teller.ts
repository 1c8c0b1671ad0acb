/**
 * Tells gates of rollbacks, at least once each: what is to be told lies in the durable outbox, written with the
 * rollback, and leaves it only after a 2xx. A restart tells again what was not crossed out, with the same idempotency
 * id. The rollback itself has long happened.
 */
import { WeirError } from "../error.js";
import { gateHost } from "./gate.js";
import { type GateReport, retryPause } from "./gateKeeper.js";
import type { Clock, Outbox, Untold, Webhook } from "./ports.js";

export interface TellerOptions {
	readonly outbox: Outbox;
	readonly webhook: Webhook;
	readonly clock: Clock;
	readonly report: (answer: GateReport) => void;
	/** Told once when the outbox's owner is gone. */
	readonly holding: (error: WeirError) => void;
}

/** How often the outbox is looked at: a rollback is told within about this. */
const LOOK_MS = 500;
/** A receiver that hangs must not keep the others waiting; more than this at once helps nobody. */
const TELLING_MAX = 16;

export class Teller {
	readonly #waits = new Map<string, { failures: number; againAtMs: number }>();
	readonly #telling = new Set<string>();
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
			if (!this.#holding) this.options.holding(WeirError.from(thrown));
			this.#holding = true;
			return;
		}
		const keys = new Set(untold.map(({ key }) => key));
		for (const key of this.#waits.keys()) if (!keys.has(key)) this.#waits.delete(key);
		for (const one of untold) {
			if (this.#stopped || this.#telling.size >= TELLING_MAX) return;
			const due = this.options.clock.nowMs() >= (this.#waits.get(one.key)?.againAtMs ?? 0);
			if (due && !this.#telling.has(one.key)) void this.#tell(one);
		}
	}

	async #tell({ key, gate, question }: Untold): Promise<void> {
		const { webhook, clock, outbox, report } = this.options;
		this.#telling.add(key);
		const answer = await webhook(gate, question);
		report({
			experiment: question.experiment,
			at: gate.at,
			where: gateHost(gate.url),
			ok: answer.ok,
			why: answer.ok ? "" : answer.why,
		});
		const failures = this.#waits.get(key)?.failures ?? 0;
		this.#waits.set(key, { failures: failures + 1, againAtMs: clock.nowMs() + retryPause(failures) });
		try {
			// Not crossed out: it is told again, which the receiver knows by the id.
			if (answer.ok) await outbox.told(key);
		} catch (thrown) {
			this.options.holding(WeirError.from(thrown));
		} finally {
			this.#telling.delete(key);
		}
	}
}
