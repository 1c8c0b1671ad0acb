/**
 * Reports to ingest which access-log entries an Envoy dropped, and that its log is complete. To an ingest on another machine it
 * reports each second, so that the operator sees whether ingest is reachable.
 */
import { connect } from "node:http2";
import type { Duplex } from "node:stream";
import { WeirError } from "../../error.js";
import {
	AGENT_REPORT_AGE_MAX_MS,
	ENVOY_REPORT_PATH,
	type EnvoyReport,
} from "../../observe/events/receive/accessLog/envoyReport.js";

/** How often `weir envoy` on another machine reports to ingest, its timeout, and its pause after a refusal. */
const AGENT_REPORT_MS = 1_000;
const AGENT_ANSWER_MS = 4_000;
const AGENT_REFUSED_MS = 5_000;

export interface EnvoyAgentOptions {
	/** `node.id` of the Envoy. */
	readonly node: string;
	/** Which process of that node. */
	readonly instance: string;
	/** Opens a connection to ingest's listener. */
	readonly open: () => Duplex;
	/** Monotonic milliseconds. */
	readonly passedMs: () => number;
	/** Called once when ingest is unreachable or refuses, and once when it works again. */
	readonly notice?: (line: string) => void;
}

interface Dropped {
	readonly entries: number;
	/** By passedMs. */
	readonly sinceAt: number;
}

/** Result of a report. */
type Answer = { readonly kind: "accepted" } | { readonly kind: "unreached" | "refused"; readonly why: string };

export class EnvoyAgent {
	readonly #options: EnvoyAgentOptions;
	/** Time of the last report that ingest accepted. */
	#reachedAt: number;
	/** Not reported yet. */
	#dropped: Dropped | null = null;
	/** Time of the last report. */
	#askedAt: number;
	#answer: Answer["kind"] = "accepted";
	#timer: NodeJS.Timeout | null = null;
	#asking: Promise<void> = Promise.resolve();
	#watching = false;
	#closed = false;

	constructor(options: EnvoyAgentOptions) {
		this.#options = options;
		this.#reachedAt = this.#askedAt = options.passedMs();
	}

	/** Starts to report periodically. */
	watch(): void {
		this.#watching = true;
		this.#next(0);
	}

	/** Adds dropped entries; times are of `passedMs`. */
	dropped(entries: number, sinceAt: number): void {
		const before = this.#dropped ?? { entries: 0, sinceAt };
		this.#dropped = { entries: before.entries + entries, sinceAt: Math.min(before.sinceAt, sinceAt) };
	}

	/** Reports now. Resolves on success and on failure. */
	async ask(drained = false): Promise<void> {
		const { passedMs, node, instance, open } = this.#options;
		const askedAt = passedMs();
		this.#askedAt = askedAt;
		const dropped = this.#dropped;
		this.#dropped = null;
		const ago = (at: number): number => Math.min(Math.max(0, Math.round(askedAt - at)), AGENT_REPORT_AGE_MAX_MS);
		const answer = await send(open, {
			...{ node, instance, drained },
			dropped: dropped === null ? null : { entries: dropped.entries, sinceAgoMs: ago(dropped.sinceAt) },
		});
		this.#report(answer, askedAt);
		if (answer.kind === "accepted") this.#reachedAt = askedAt;
		else if (dropped !== null) this.dropped(dropped.entries, dropped.sinceAt);
	}

	/**
	 * The Envoy has ended.
	 * @param drained it accepted no more requests, and has written its log
	 */
	async ended(drained: boolean): Promise<void> {
		this.close();
		await this.#asking;
		if (!drained && !this.#watching) return;
		await this.ask(drained);
	}

	close(): void {
		this.#closed = true;
		if (this.#timer !== null) clearTimeout(this.#timer);
	}

	#report(answer: Answer, askedAt: number): void {
		const before = this.#answer;
		this.#answer = answer.kind;
		if (answer.kind === before) return;
		const { notice } = this.#options;
		if (answer.kind === "accepted") {
			const seconds = Math.ceil((askedAt - this.#reachedAt) / 1_000);
			notice?.(
				`ingest takes this Envoy's access log again, after ${seconds} s; the alarm records-missing covers that time`,
			);
		} else if (answer.kind === "refused") notice?.(`ingest refuses this Envoy's access log: ${answer.why}`);
		else notice?.(`ingest cannot be reached, so that what this Envoy denies may have no record: ${answer.why}`);
	}

	#next(afterMs: number): void {
		if (this.#closed) return;
		this.#timer = setTimeout(() => {
			this.#asking = this.ask().then(() => {
				const everyMs = this.#answer === "refused" ? AGENT_REFUSED_MS : AGENT_REPORT_MS;
				this.#next(Math.max(0, this.#askedAt + everyMs - this.#options.passedMs()));
			});
		}, afterMs).unref();
	}
}

/** One gRPC call on a connection of its own. */
function send(open: () => Duplex, report: EnvoyReport): Promise<Answer> {
	return new Promise((resolve) => {
		const connected = tried(open);
		if ("why" in connected) {
			resolve({ kind: "unreached", why: connected.why });
			return;
		}
		const session = connect("http://ingest", { createConnection: () => connected });
		const over = (answer: Answer): void => {
			clearTimeout(timer);
			resolve(answer);
			if (answer.kind === "unreached") session.destroy();
			else session.close();
		};
		const failed = (why: string): void => over({ kind: "unreached", why });
		const timer = setTimeout(
			// After a stall of this process, read what has arrived before the timeout counts.
			() => setImmediate(() => failed(`no answer within ${AGENT_ANSWER_MS / 1_000} s`)),
			AGENT_ANSWER_MS,
		);
		// The connection's own error comes first, and has more detail.
		connected.on("error", ({ message }: Error) => failed(message));
		session.on("error", ({ message }: Error) => failed(message));
		session.on("close", () => failed("the connection was closed"));
		const call = session.request({
			":method": "POST",
			":path": ENVOY_REPORT_PATH,
			"content-type": "application/grpc",
			te: "trailers",
		});
		const answered = ({ "grpc-status": status, "grpc-message": message }: Answered): void => {
			if (status === undefined) return;
			if (status === "0") over({ kind: "accepted" });
			else over({ kind: "refused", why: textOf(message) });
		};
		call.on("response", answered).on("trailers", answered);
		call.on("error", ({ message }) => failed(message));
		const text = Buffer.from(JSON.stringify(report));
		const head = Buffer.alloc(5);
		head.writeUInt32BE(text.length, 1);
		call.resume().end(Buffer.concat([head, text]));
	});
}

type Answered = Readonly<Record<string, unknown>>;

/** Printable and short: the text is from the peer. gRPC writes a space as `%20`. */
const textOf = (message: unknown): string =>
	`${message ?? "no reason given"}`
		.slice(0, 200)
		.replaceAll("%20", " ")
		.replace(/[^ -~]/g, "?");

/** `open` throws while there is no valid certificate. */
function tried(open: () => Duplex): Duplex | { readonly why: string } {
	try {
		return open();
	} catch (error) {
		return { why: WeirError.from(error).message };
	}
}
