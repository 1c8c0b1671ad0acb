/**
 * Notifies gates of rollbacks, at least once. Notifications are in the durable outbox, written with the rollback, until a 2xx;
 * after a restart they are sent again with the same idempotency id. Untried ones come first, then the longest overdue.
 */
import { WeirError } from "../../error.js";
import { gateHost } from "./gate.js";
import { type GateReport, reported, retryPause } from "./gateApprovals.js";
import type { Clock, Outbox, PendingNotification, Webhook } from "./ports.js";

/** Concurrent rollback notifications to gates: each one sent is a commit of control's API. */
export const GATE_NOTIFICATIONS_AT_ONCE_MAX = 32;

export interface RollbackNotifierOptions {
	readonly outbox: Outbox;
	readonly webhook: Webhook;
	readonly clock: Clock;
	readonly report: (answer: GateReport) => void;
	/** Called once when the outbox is unavailable or a message unreadable. */
	readonly holding: (error: WeirError) => void;
}

/** Interval of reading the outbox. */
const POLL_MS = 500;

interface Wait {
	readonly failures: number;
	readonly againAtMs: number;
	/** Held by an error that was reported. */
	readonly held: boolean;
}

export class RollbackNotifier {
	readonly #waits = new Map<string, Wait>();
	/** Keys of notifications in progress. */
	readonly #sending = new Set<string>();
	#cancel: (() => void) | null = null;
	#stopped = true;
	#holding = false;

	constructor(private readonly options: RollbackNotifierOptions) {}

	start(): void {
		this.#stopped = false;
		this.#schedule(0);
	}

	/** Sends nothing new. Notifications in progress are sent again after the next start if they fail. */
	stop(): void {
		this.#stopped = true;
		this.#cancel?.();
	}

	#schedule(ms: number): void {
		if (this.#stopped) return;
		this.#cancel = this.options.clock.after(ms, () => {
			void this.look().finally(() => this.#schedule(POLL_MS));
		});
	}

	/** Reads the outbox once and starts due notifications. Never rejects. */
	async look(): Promise<void> {
		let pending: readonly PendingNotification[];
		try {
			pending = await this.options.outbox.pending();
			this.#holding = false;
		} catch (thrown) {
			this.#hold(thrown);
			return;
		}
		const keys = new Set(pending.map(({ key }) => key));
		for (const key of this.#waits.keys()) if (!keys.has(key)) this.#waits.delete(key);
		if (this.#stopped) return;
		const nowMs = this.options.clock.nowMs();
		const againAtMs = ({ key }: PendingNotification): number => this.#waits.get(key)?.againAtMs ?? 0;
		const due = pending.filter((one) => againAtMs(one) <= nowMs && !this.#sending.has(one.key));
		due.sort((a, b) => againAtMs(a) - againAtMs(b));
		for (const one of due.slice(0, GATE_NOTIFICATIONS_AT_ONCE_MAX - this.#sending.size)) void this.#send(one);
	}

	async #send({ key, experiment }: PendingNotification): Promise<void> {
		const { webhook, clock, outbox, report } = this.options;
		const { failures = 0, held = false } = this.#waits.get(key) ?? {};
		let holds = held;
		this.#sending.add(key);
		try {
			const message = await outbox.message(key);
			if (message === null) return;
			const { gate, question } = message;
			const answer = await webhook(gate, question);
			report({ experiment, at: gate.at, where: gateHost(gate.url), ...reported(answer) });
			// Otherwise it is sent again with the same id.
			if (answer.ok) await outbox.delivered(key);
		} catch (thrown) {
			if (!held) this.#hold(thrown);
			holds = true;
		} finally {
			// After an error too: an unreadable message must not be tried first at each poll.
			this.#waits.set(key, { failures: failures + 1, againAtMs: clock.nowMs() + retryPause(failures), held: holds });
			this.#sending.delete(key);
		}
	}

	/** Reports an error once, until the outbox can be read again. */
	#hold(thrown: unknown): void {
		if (!this.#holding) this.options.holding(WeirError.from(thrown));
		this.#holding = true;
	}
}
