/**
 * Receives tables from control: validates each, makes it the newest atomically, and sends an ACK. An invalid Service is
 * closed alone; an unreadable table is rejected, and the last good one stays. While control is unavailable, it reconnects
 * and the age of the table increases.
 */
import { WeirError } from "../../error.js";
import { TABLE_ERROR_CHARS_MAX } from "../../limits/index.js";
import { within } from "../../limits/within.js";
import type { Clock } from "./clock.js";
import { Standstill } from "./standstill.js";
import { TableFile } from "./tableFile.js";
import { type ControlAddress, type Offer, TableStream } from "./tableStream.js";
import type { Freshness, TableLog, Tables, VersionedTable } from "./tables.js";

/** First and longest pause before the sidecar connects to control again. */
const TABLE_FEED_RETRY_MS = { first: 50, max: 2_000 } as const;

/** Timeout of the HTTP/2 handshake with control: a UNIX socket connects at once. */
const TABLE_FEED_CONNECT_MS = 5_000;

/** PINGs on the sidecar's stream to control: detects a hanging control in 15 s, well below any maxStaleness in use. */
const TABLE_FEED_KEEPALIVE_MS = { every: 10_000, answer: 5_000 } as const;

/**
 * How long a starting sidecar waits for control's table before it uses the one on its disk. Control usually answers in
 * 0.3 s.
 */
const TABLE_CONTROL_FIRST_MS = 2_000;

export type TableFeedOptions<Compiled> = ControlAddress & FeedOptions<Compiled>;

interface FeedOptions<Compiled> {
	/** Node id in control's proxy-status; begins with `weir-sidecar/`. */
	readonly node: string;
	/** The same for all workers of one sidecar, which control counts as one. */
	readonly instance?: string;
	readonly tables: Tables<Compiled>;
	readonly log: TableLog;
	readonly retryMs?: { readonly first: number; readonly max: number };
	readonly keepaliveMs?: { readonly every: number; readonly answer: number };
	readonly connectMs?: number;
	/** Restores the last good table if control's first one is rejected; runs before the NACK. */
	readonly restore?: () => Promise<unknown>;
	/** Called when the open stream has sent the newest table, or has failed. */
	readonly onAnswered?: () => void;
	/** [0, 1), for the jitter. */
	readonly random?: () => number;
}

export class TableFeed<Compiled> {
	readonly #options: Required<Omit<FeedOptions<Compiled>, "instance">> & TableFeedOptions<Compiled>;
	#stream: TableStream | null = null;
	#retry: NodeJS.Timeout | null = null;
	#pauseMs: number;
	/** The last table from control, also if it was rejected. */
	#offered: VersionedTable | null = null;
	#latest: Offer | null = null;
	#reportedUnavailable = false;
	#rejected = 0;

	constructor(options: TableFeedOptions<Compiled>) {
		this.#options = {
			retryMs: TABLE_FEED_RETRY_MS,
			keepaliveMs: TABLE_FEED_KEEPALIVE_MS,
			connectMs: TABLE_FEED_CONNECT_MS,
			restore: async () => {},
			onAnswered: () => {},
			random: Math.random,
			...options,
		};
		this.#pauseMs = this.#options.retryMs.first;
	}

	/** Number of rejected tables since the start. */
	get rejected(): number {
		return this.#rejected;
	}

	start(): void {
		this.#open();
	}

	/** Closes the stream; the age of the table increases from now on. */
	close(): void {
		this.#disconnect();
		this.#options.tables.lapse();
	}

	/**
	 * Opens a new stream, because messages of this one may be stale. Until control answers, the table is not confirmed.
	 * @param ageMs minimum age of the last confirmation
	 */
	askAnew(ageMs: number): void {
		this.#options.tables.atLeast(ageMs);
		if (this.#stream === null && this.#retry === null) return;
		this.#disconnect();
		this.#open();
	}

	#disconnect(): void {
		if (this.#retry !== null) clearTimeout(this.#retry);
		this.#retry = null;
		this.#stream?.close();
		this.#stream = null;
	}

	/** Version of the newest table; empty = none. */
	get #held(): string {
		return this.#options.tables.newest?.version ?? "";
	}

	#open(): void {
		const { node, instance, keepaliveMs, connectMs } = this.#options;
		const openedAtMs = performance.now();
		this.#retry = null;
		const stream = new TableStream({
			control: this.#options,
			node,
			instance,
			held: this.#held,
			keepaliveMs,
			connectMs,
			onOffer: (offer) => this.#receive(stream, offer),
			onEnd: (reason) => this.#ended(reason, performance.now() - openedAtMs),
		});
		this.#stream = stream;
	}

	#answered(stream: TableStream): void {
		if (this.#stream === stream) this.#options.onAnswered();
	}

	#receive(stream: TableStream, offer: Offer): void {
		let table: VersionedTable | null;
		try {
			// Parsed only once, because a large table blocks the event loop.
			table = offer.read(this.#offered);
		} catch (error) {
			this.#latest = offer;
			void this.#refuse(stream, offer, error);
			return;
		}
		if (table === null) {
			stream.accept(offer);
			this.#answered(stream);
			return;
		}
		this.#latest = offer;
		this.#adopt(stream, offer, table).catch((error: unknown) => this.#refuse(stream, offer, error));
	}

	async #refuse(stream: TableStream, offer: Offer, error: unknown): Promise<void> {
		const { tables, log, restore } = this.#options;
		// Messages of other errors may quote the table.
		const reason = (error instanceof WeirError ? error.message : "the table cannot be compiled").slice(
			0,
			TABLE_ERROR_CHARS_MAX,
		);
		this.#rejected++;
		log.warn("control's table is rejected, the last good one stays", {
			version: offer.version.slice(0, 64),
			why: reason,
		});
		// Control's newest table is not the one in use.
		tables.lapse();
		// Limited, so that a slow disk does not delay the NACK.
		if (tables.newest === null) await within(TABLE_CONTROL_FIRST_MS, restore());
		stream.reject(offer, reason, this.#held);
		this.#answered(stream);
	}

	async #adopt(stream: TableStream, offer: Offer, table: VersionedTable): Promise<void> {
		const { tables, log } = this.#options;
		const { version, closed = [] } = table;
		if (table === this.#offered) await tables.settled();
		else this.#offered = table;
		// A newer one has arrived.
		if (table !== this.#offered) return;
		const isNew = tables.newest?.version !== version;
		const inForce = (): void => {
			// The stream may have ended, or a newer table arrived, during the preparation: then it is not confirmed.
			const current = this.#stream === stream && this.#latest === offer;
			if (current) tables.confirm();
			if (isNew || this.#reportedUnavailable) log.info("control's table is served", { version });
			if (isNew && closed[0] !== undefined) {
				log.warn("Services of it cannot be executed: they deny everything", {
					services: closed.length,
					why: closed[0].why,
				});
			}
			if (!current) return;
			this.#reportedUnavailable = false;
			stream.accept(offer, closed);
			this.#answered(stream);
		};
		// Queued behind a table that is not in force yet.
		if (isNew || tables.taking) await tables.take(table, inForce);
		else inForce();
	}

	#ended(reason: string, livedMs: number): void {
		const { tables, retryMs, random } = this.#options;
		this.#stream = null;
		// The backoff is reset only after a long-lived stream.
		const livedLong = livedMs >= retryMs.max;
		if (livedLong) this.#pauseMs = retryMs.first;
		// mTLS streams end with their certificate, so control counts as unavailable only if the next one fails too.
		if (!livedLong || !tables.confirmed) this.#reportUnavailable(reason);
		const pauseMs = this.#pauseMs * (0.5 + random() / 2);
		this.#pauseMs = Math.min(retryMs.max, this.#pauseMs * 2);
		this.#retry = setTimeout(() => this.#open(), pauseMs);
		tables.lapse();
		// A listener may have opened a new stream.
		if (this.#stream === null) this.#options.onAnswered();
	}

	#reportUnavailable(reason: string): void {
		const { tables, log } = this.#options;
		if (this.#reportedUnavailable) return;
		this.#reportedUnavailable = true;
		const why = reason.slice(0, TABLE_ERROR_CHARS_MAX);
		if (tables.newest !== null) log.warn("control is away, its last table stays", { why });
		// Normal at the start, when the sidecar starts before control.
		else log.info("control is awaited: there is no table yet", { why });
	}
}

/**
 * Receives control's tables and saves the last good one. Uses the saved table only if control sends none at first, because
 * it may allow requests that are denied by now.
 * @param options.filePath null = no file
 * @returns `freshness` is the age of the table in use; close() also writes the file
 */
export function followControl<Compiled>(
	options: TableFeedOptions<Compiled> & {
		readonly filePath: string | null;
		readonly controlFirstMs?: number;
		readonly clock?: Clock;
	},
): { readonly feed: TableFeed<Compiled>; readonly freshness: Freshness; close(): Promise<void> } {
	const { filePath, tables, log, controlFirstMs = TABLE_CONTROL_FIRST_MS, clock } = options;
	const file = filePath === null ? null : new TableFile(filePath, { log });
	const stop = file?.follow(tables);
	let closed = false;
	let restored: Promise<unknown> = Promise.resolve();
	const restore = (): Promise<unknown> => {
		if (!closed && file !== null) restored = file.restore(tables);
		return restored;
	};
	const feed = new TableFeed({ ...options, restore, onAnswered: () => standstill.over() });
	const standstill = new Standstill(
		tables,
		(stoodMs) => {
			log.warn("the process stood still: it answers when control has been asked anew", { ms: Math.round(stoodMs) });
			feed.askAnew(stoodMs);
		},
		clock,
	);
	feed.start();
	const timer = setTimeout(async () => {
		// A table from control in preparation may still be rejected.
		await tables.settled();
		await restore();
	}, controlFirstMs);
	return {
		feed,
		freshness: standstill,
		close: async () => {
			closed = true;
			clearTimeout(timer);
			standstill.close();
			feed.close();
			await restored;
			await stop?.();
		},
	};
}
