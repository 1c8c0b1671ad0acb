/**
 * Follows control's tables for as long as the sidecar lives: checks each, makes it the newest in one step, and acknowledges it.
 * A Service that it cannot execute is closed alone; a table that it cannot read is rejected, and the last good one kept. While
 * control is away it tries again, and the table grows older.
 */
import { WeirError } from "../../error.js";
import {
	TABLE_CONTROL_FIRST_MS,
	TABLE_ERROR_CHARS_MAX,
	TABLE_FEED_CONNECT_MS,
	TABLE_FEED_KEEPALIVE_MS,
	TABLE_FEED_RETRY_MS,
} from "../../limits/index.js";
import { within } from "../../limits/within.js";
import type { Clock } from "./clock.js";
import { Standstill } from "./standstill.js";
import { TableFile } from "./tableFile.js";
import { type ControlDoor, type Offer, TableStream } from "./tableStream.js";
import type { Freshness, TableLog, Tables, VersionedTable } from "./tables.js";

export type TableFeedOptions<Compiled> = ControlDoor & FeedOptions<Compiled>;

interface FeedOptions<Compiled> {
	/** Node id in control's proxy-status; begins with `weir-sidecar/`. */
	readonly node: string;
	/** The same for all workers of one sidecar: control counts them as one. Left out = it has none. */
	readonly instance?: string;
	readonly tables: Tables<Compiled>;
	readonly log: TableLog;
	readonly retryMs?: { readonly first: number; readonly max: number };
	readonly keepaliveMs?: { readonly every: number; readonly answer: number };
	readonly connectMs?: number;
	/** What is served where control's first table is refused: control is told of that when it ends. */
	readonly restore?: () => Promise<unknown>;
	/** The open stream has said which table is the newest, or is down. */
	readonly onAnswered?: () => void;
	/** [0, 1), for the jitter. */
	readonly random?: () => number;
}

export class TableFeed<Compiled> {
	readonly #options: Required<Omit<FeedOptions<Compiled>, "instance">> & TableFeedOptions<Compiled>;
	#stream: TableStream | null = null;
	#retry: NodeJS.Timeout | null = null;
	#pauseMs: number;
	/** The table that control offered last, and in which offer; one that was rejected too. */
	#offered: VersionedTable | null = null;
	#latest: Offer | null = null;
	/** Control's absence has been reported. */
	#toldAway = false;
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

	/** Tables rejected since the start, for a metric. */
	get rejected(): number {
		return this.#rejected;
	}

	start(): void {
		this.#open();
	}

	/** The table grows older from now on. */
	close(): void {
		this.#hangUp();
		this.#options.tables.lapse();
	}

	/**
	 * Asks control by a new stream: what came by this one may be old. Until control answers, the table is not confirmed.
	 * @param ageMs how long ago it was certainly confirmed
	 */
	askAnew(ageMs: number): void {
		this.#options.tables.atLeast(ageMs);
		if (this.#stream === null && this.#retry === null) return;
		this.#hangUp();
		this.#open();
	}

	#hangUp(): void {
		if (this.#retry !== null) clearTimeout(this.#retry);
		this.#retry = null;
		this.#stream?.close();
		this.#stream = null;
	}

	/** Version of the table that is served; empty = there is none. */
	get #held(): string {
		return this.#options.tables.newest?.version ?? "";
	}

	#open(): void {
		const { node, instance, keepaliveMs, connectMs } = this.#options;
		const openedAtMs = performance.now();
		this.#retry = null;
		const stream = new TableStream({
			door: this.#options,
			node,
			instance,
			held: this.#held,
			keepaliveMs,
			connectMs,
			onOffer: (offer) => this.#take(stream, offer),
			onEnd: (reason) => this.#ended(reason, performance.now() - openedAtMs),
		});
		this.#stream = stream;
	}

	#answered(stream: TableStream): void {
		if (this.#stream === stream) this.#options.onAnswered();
	}

	#take(stream: TableStream, offer: Offer): void {
		let table: VersionedTable | null;
		try {
			// To read a large one may be a standstill itself; it is read once.
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
		// What is not ours may quote the table.
		const words = (error instanceof WeirError ? error.message : "the table cannot be compiled").slice(
			0,
			TABLE_ERROR_CHARS_MAX,
		);
		this.#rejected++;
		log.warn("control's table is rejected, the last good one stays", {
			version: offer.version.slice(0, 64),
			why: words,
		});
		// Control wants another table than the one that is served.
		tables.lapse();
		// A disk that hangs must not keep from control that its table is refused.
		if (tables.newest === null) await within(TABLE_CONTROL_FIRST_MS, restore());
		stream.reject(offer, words, this.#held);
		this.#answered(stream);
	}

	async #adopt(stream: TableStream, offer: Offer, table: VersionedTable): Promise<void> {
		const { tables, log } = this.#options;
		const { version, closed = [] } = table;
		if (table === this.#offered) await tables.settled();
		else this.#offered = table;
		// Another one has been offered meanwhile.
		if (table !== this.#offered) return;
		const isNew = tables.newest?.version !== version;
		const inForce = (): void => {
			// While it was prepared the stream may have ended, or control have said that another one is the newest: then nobody confirms it.
			const current = this.#stream === stream && this.#latest === offer;
			if (current) tables.confirm();
			if (isNew || this.#toldAway) log.info("control's table is served", { version });
			if (isNew && closed[0] !== undefined) {
				log.warn("Services of it cannot be executed: they deny everything", {
					services: closed.length,
					why: closed[0].why,
				});
			}
			if (!current) return;
			this.#toldAway = false;
			stream.accept(offer, closed);
			this.#answered(stream);
		};
		// One that is not in force yet would come after it.
		if (isNew || tables.taking) await tables.take(table, inForce);
		else inForce();
	}

	#ended(reason: string, livedMs: number): void {
		const { tables, retryMs, random } = this.#options;
		this.#stream = null;
		// A control that answers and dies at once is not asked as if it were well.
		const livedLong = livedMs >= retryMs.max;
		if (livedLong) this.#pauseMs = retryMs.first;
		// An mTLS connection ends before its certificate does: control is away where the next one fails, too.
		if (!livedLong || !tables.confirmed) this.#tellAway(reason);
		const pauseMs = this.#pauseMs * (0.5 + random() / 2);
		this.#pauseMs = Math.min(retryMs.max, this.#pauseMs * 2);
		this.#retry = setTimeout(() => this.#open(), pauseMs);
		tables.lapse();
		// What heard of that may have asked by a new stream.
		if (this.#stream === null) this.#options.onAnswered();
	}

	#tellAway(reason: string): void {
		const { tables, log } = this.#options;
		if (this.#toldAway) return;
		this.#toldAway = true;
		const why = reason.slice(0, TABLE_ERROR_CHARS_MAX);
		if (tables.newest !== null) log.warn("control is away, its last table stays", { why });
		// As at the start of a whole stack, where control may come second.
		else log.info("control is awaited: there is no table yet", { why });
	}
}

/**
 * Control's tables, kept in a file, and where control gives none at first, the last good one from that file. That one may allow
 * what has been denied since, so control is asked before it.
 * @param options.filePath null = nothing is kept
 * @returns `freshness` is how old what calls are answered by is; close() ends it, with the file as new as can be.
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
		// One of control's that is being taken may still be refused.
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
