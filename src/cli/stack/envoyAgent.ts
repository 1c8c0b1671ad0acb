/**
 * Reports to ingest what an Envoy's access log does not hold: entries that were dropped, and that all is written. Where ingest is on
 * another machine it reports each second, so that the operator sees whether ingest can be reached.
 */
import { connect } from "node:http2";
import type { Duplex } from "node:stream";
import { WeirError } from "../../error.js";
import { AGENT_REPORT_AGE_MAX_MS } from "../../limits/index.js";
import { ENVOY_REPORT_PATH, type EnvoyReport } from "../../observe/events/accessLog/envoyReport.js";

/** How often `weir envoy` on another machine reports to ingest, its timeout, and its pause after a refusal. */
const AGENT_REPORT_MS = 1_000;
const AGENT_ANSWER_MS = 4_000;
const AGENT_REFUSED_MS = 5_000;

export interface EnvoyAgentOptions {
	/** `node.id` of the Envoy. */
	readonly node: string;
	/** Which process of that node. */
	readonly instance: string;
	/** A new connection to ingest's door. */
	readonly open: () => Duplex;
	/** Milliseconds that no clock's setting changes. */
	readonly passedMs: () => number;
	/** Told once that ingest cannot be reached, or refuses, and once that it is well again; by default nobody is. */
	readonly say?: (line: string) => void;
}

interface Dropped {
	readonly entries: number;
	/** By passedMs. */
	readonly sinceAt: number;
}

/** What became of a report; `why`: for a person. */
type Answer = { readonly kind: "taken" } | { readonly kind: "unreached" | "refused"; readonly why: string };

export class EnvoyAgent {
	readonly #options: EnvoyAgentOptions;
	/** When ingest was asked last, and took it. */
	#reachedAt: number;
	/** Not reported yet. */
	#dropped: Dropped | null = null;
	/** When it was asked last. */
	#askedAt: number;
	#answer: Answer["kind"] = "taken";
	#timer: NodeJS.Timeout | null = null;
	#asking: Promise<void> = Promise.resolve();
	#watching = false;
	#closed = false;

	constructor(options: EnvoyAgentOptions) {
		this.#options = options;
		this.#reachedAt = this.#askedAt = options.passedMs();
	}

	/** Asks again and again, from now on. */
	watch(): void {
		this.#watching = true;
		this.#next(0);
	}

	/** The Envoy has dropped so many entries; by passedMs. */
	dropped(entries: number, sinceAt: number): void {
		const before = this.#dropped ?? { entries: 0, sinceAt };
		this.#dropped = { entries: before.entries + entries, sinceAt: Math.min(before.sinceAt, sinceAt) };
	}

	/** Asks now. Resolves when it was answered, or was not. */
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
		this.#say(answer, askedAt);
		if (answer.kind === "taken") this.#reachedAt = askedAt;
		else if (dropped !== null) this.dropped(dropped.entries, dropped.sinceAt);
	}

	/**
	 * The Envoy is ended now.
	 * @param drained it takes no more requests, and has written all
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

	#say(answer: Answer, askedAt: number): void {
		const before = this.#answer;
		this.#answer = answer.kind;
		if (answer.kind === before) return;
		const { say } = this.#options;
		if (answer.kind === "taken") {
			const seconds = Math.ceil((askedAt - this.#reachedAt) / 1_000);
			say?.(`ingest takes this Envoy's access log again, after ${seconds} s: records-missing tells of that time`);
		} else if (answer.kind === "refused") say?.(`ingest refuses this Envoy's access log: ${answer.why}`);
		else say?.(`ingest cannot be reached, so that what this Envoy denies may have no record: ${answer.why}`);
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
			// After a stall of this process what has come meanwhile is read first.
			() => setImmediate(() => failed(`no answer within ${AGENT_ANSWER_MS / 1_000} s`)),
			AGENT_ANSWER_MS,
		);
		// The connection's own error comes first, and says more.
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
			if (status === "0") over({ kind: "taken" });
			else over({ kind: "refused", why: wordsOf(message) });
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

/** Printable and short, whoever says it; gRPC writes a space as `%20`. */
const wordsOf = (message: unknown): string =>
	`${message ?? "it does not say why"}`
		.slice(0, 200)
		.replaceAll("%20", " ")
		.replace(/[^ -~]/g, "?");

/** Whoever has no valid certificate at the moment opens nothing. */
function tried(open: () => Duplex): Duplex | { readonly why: string } {
	try {
		return open();
	} catch (error) {
		return { why: WeirError.from(error).message };
	}
}
