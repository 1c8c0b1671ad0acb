/**
 * Tells ingest what an Envoy's access log cannot: that ingest could not be reached, that entries were dropped, that all is
 * written. Ingest of another machine is reached anew each second, as a worker of Envoy that has no connection would.
 */
import { connect } from "node:http2";
import type { Duplex } from "node:stream";
import { KEEPER_PATH, type KeeperWord } from "../../events/accessLog/keeperWord.js";
import { KEEPER_AGO_MAX_MS, KEEPER_ANSWER_MS, KEEPER_BEAT_MS, KEEPER_LATE_MS } from "../../limits.js";

export interface EnvoyKeeperOptions {
	/** `node.id` of the Envoy. */
	readonly node: string;
	/** Which process of that node. */
	readonly instance: string;
	/** A new connection to ingest's door. */
	readonly open: () => Duplex;
	/** Milliseconds that no clock's setting changes. */
	readonly passedMs: () => number;
}

interface Dropped {
	readonly entries: number;
	/** By passedMs. */
	readonly sinceAt: number;
}

export class EnvoyKeeper {
	/** When ingest was asked last, and there. */
	#reachedAt: number;
	/** When it was not, since then. */
	#failedAt: number | null = null;
	/** When it was asked last. */
	#askedAt: number;
	#dropped: Dropped | null = null;
	#timer: NodeJS.Timeout | null = null;
	#asking: Promise<void> = Promise.resolve();
	#watching = false;
	#closed = false;

	/** From before its Envoy is started. */
	constructor(private readonly options: EnvoyKeeperOptions) {
		this.#reachedAt = this.#askedAt = options.passedMs();
	}

	/** Asks again and again, from now on. */
	watch(): void {
		this.#watching = true;
		this.#next(0);
	}

	/** The Envoy has dropped so many entries. */
	dropped(entries: number, agoMs: number): void {
		this.#add({ entries, sinceAt: this.options.passedMs() - agoMs });
	}

	/** Asks now. Resolves when it was answered, or was not. */
	async ask(drained = false): Promise<void> {
		const askedAt = this.options.passedMs();
		// Who was stopped has seen nothing meanwhile.
		if (this.#watching && askedAt - this.#askedAt >= KEEPER_LATE_MS) this.#failedAt = askedAt;
		this.#askedAt = askedAt;
		const [failedAt, dropped] = [this.#failedAt, this.#dropped];
		this.#dropped = null;
		const ago = (at: number): number => Math.min(Math.max(0, Math.round(askedAt - at)), KEEPER_AGO_MAX_MS);
		const reached = await tell(this.options.open, {
			node: this.options.node,
			instance: this.options.instance,
			away: failedAt === null ? null : { sinceAgoMs: ago(this.#reachedAt), lastAgoMs: ago(failedAt) },
			dropped: dropped === null ? null : { entries: dropped.entries, sinceAgoMs: ago(dropped.sinceAt) },
			drained,
		});
		if (reached) {
			this.#reachedAt = askedAt;
			this.#failedAt = null;
			return;
		}
		this.#failedAt = askedAt;
		if (dropped !== null) this.#add(dropped);
	}

	/** The Envoy takes no more requests, and has written all. */
	async drained(): Promise<void> {
		this.close();
		await this.#asking;
		await this.ask(true);
	}

	close(): void {
		this.#closed = true;
		if (this.#timer !== null) clearTimeout(this.#timer);
	}

	#add({ entries, sinceAt }: Dropped): void {
		const before = this.#dropped ?? { entries: 0, sinceAt };
		this.#dropped = { entries: before.entries + entries, sinceAt: Math.min(before.sinceAt, sinceAt) };
	}

	#next(afterMs: number): void {
		if (this.#closed) return;
		this.#timer = setTimeout(() => {
			this.#asking = this.ask().then(() =>
				this.#next(Math.max(0, this.#askedAt + KEEPER_BEAT_MS - this.options.passedMs())),
			);
		}, afterMs).unref();
	}
}

/**
 * One gRPC call on a connection of its own.
 * @returns whether it was answered, also by a refusal
 */
function tell(open: () => Duplex, word: KeeperWord): Promise<boolean> {
	return new Promise((resolve) => {
		const connected = tried(open);
		if (connected === null) {
			resolve(false);
			return;
		}
		const session = connect("http://ingest", { createConnection: () => connected });
		const over = (reached: boolean): void => {
			clearTimeout(timer);
			resolve(reached);
			if (reached) session.close();
			else session.destroy();
		};
		const timer = setTimeout(
			// After a stall of this process what has come meanwhile is read first.
			() => setImmediate(() => over(false)),
			KEEPER_ANSWER_MS,
		);
		for (const end of ["error", "close"]) session.on(end, () => over(false));
		const call = session.request({
			":method": "POST",
			":path": KEEPER_PATH,
			"content-type": "application/grpc",
			te: "trailers",
		});
		const answered = (headers: Readonly<Record<string, unknown>>): void => {
			if (headers["grpc-status"] !== undefined) over(true);
		};
		call.on("response", answered).on("trailers", answered);
		call.on("error", () => over(false));
		const text = Buffer.from(JSON.stringify(word));
		const head = Buffer.alloc(5);
		head.writeUInt32BE(text.length, 1);
		call.resume().end(Buffer.concat([head, text]));
	});
}

/** null: whoever has no valid certificate at the moment opens nothing. */
function tried(open: () => Duplex): Duplex | null {
	try {
		return open();
	} catch {
		return null;
	}
}
