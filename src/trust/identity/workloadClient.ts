/**
 * Takes this process's identity from a SPIFFE agent (our own CA's socket or SPIRE's) and keeps it current. While the
 * agent is away the last good one serves until it ends; an answer that does not hold is told of and never used.
 */
import { dirname } from "node:path";
import { create } from "@bufbuild/protobuf";
import { Client, type ClientReadableStream, credentials, Metadata } from "@grpc/grpc-js";
import { trustDomainOf } from "../../declare/resources/spiffe.js";
import { WeirError } from "../../error.js";
import { X509SVIDRequestSchema, type X509SVIDResponse } from "../../gen/spiffe/workload_pb.js";
import { IDENTITY_ANSWER_BYTES_MAX, IDENTITY_FIRST_WAIT_MS, IDENTITY_RETRY_MS } from "../../limits/index.js";
import { requireAgentsFolder } from "../local/socket.js";
import { certificateSpiffeId } from "./peer.js";
import type { Say } from "./ports.js";
import { readSvid } from "./readSvid.js";
import type { Identity, Svid } from "./svid.js";
import type { Validity } from "./validity.js";
import { SECURITY_HEADER, WorkloadApiDefinition } from "./wire.js";

export interface WorkloadClientOptions {
	/** The agent's UNIX socket, a path or `unix:PATH` as SPIFFE_ENDPOINT_SOCKET has it. */
	readonly socketPath: string;
	/** Told of an agent that is away or answers what does not hold, once for each time. */
	readonly log?: Say;
	/** How long to wait for the first SVID. */
	readonly firstWaitMs?: number;
	readonly nowMs?: () => number;
}

/** The identity of this process. */
export interface Workload extends Identity {
	/** Of the newest SVID, also once it has ended. */
	validity(): Validity;
	/** Follows no more; current() stays what it is. */
	close(): void;
}

/**
 * Resolves with the first SVID, which rotates by itself from then on.
 * @throws WeirError `unavailable` when none came in time
 */
export async function followWorkload(options: WorkloadClientOptions): Promise<Workload> {
	const follower = new Follower(options);
	const { firstWaitMs = IDENTITY_FIRST_WAIT_MS } = options;
	let stopWaiting = (): void => {};
	try {
		await new Promise<void>((resolve, reject) => {
			const timer = setTimeout(() => reject(follower.unavailable()), firstWaitMs);
			stopWaiting = () => clearTimeout(timer);
			follower.onRotated(resolve);
			follower.start();
		});
	} catch (error) {
		follower.close();
		throw error;
	} finally {
		stopWaiting();
	}
	return follower;
}

const CHANNEL = {
	"grpc.max_receive_message_length": IDENTITY_ANSWER_BYTES_MAX,
	"grpc.use_local_subchannel_pool": 1,
	// An agent that hangs is noticed.
	"grpc.keepalive_time_ms": 30_000,
	"grpc.keepalive_timeout_ms": 10_000,
};

class Follower implements Workload {
	readonly #socketPath: string;
	readonly #log: Say;
	readonly #nowMs: () => number;
	readonly #listeners = new Set<() => void>();
	#svid: Svid | null = null;
	#client: Client | null = null;
	#call: ClientReadableStream<X509SVIDResponse> | null = null;
	#timer: NodeJS.Timeout | null = null;
	/** Tries in a row without a good answer. */
	#failures = 0;
	#fault = "it did not answer";
	#closed = false;

	constructor({ socketPath, log = () => {}, nowMs = Date.now }: WorkloadClientOptions) {
		this.#socketPath = socketPath.replace(/^unix:(\/\/)?/, "");
		this.#log = log;
		this.#nowMs = nowMs;
	}

	start(): void {
		let over = false;
		const again = (why: string): void => {
			if (over || this.#closed) return;
			over = true;
			this.#failed(why);
			const pause = IDENTITY_RETRY_MS[Math.min(this.#failures, IDENTITY_RETRY_MS.length) - 1] ?? 0;
			this.#timer = setTimeout(() => this.start(), pause);
		};
		try {
			requireAgentsFolder(dirname(this.#socketPath));
		} catch (error) {
			again(WeirError.from(error).message);
			return;
		}
		const { path, requestSerialize, responseDeserialize } = WorkloadApiDefinition.fetchX509Svid;
		const metadata = new Metadata();
		metadata.set(SECURITY_HEADER, "true");
		// A client of its own for each try: grpc-js would keep one that failed waiting for longer than the agent is away.
		this.#client?.close();
		this.#client = new Client(`unix:${this.#socketPath}`, credentials.createInsecure(), CHANNEL);
		const call = this.#client.makeServerStreamRequest(
			path,
			requestSerialize,
			responseDeserialize,
			create(X509SVIDRequestSchema),
			metadata,
		);
		this.#call = call;
		call.on("data", (answer) => this.#take(answer));
		call.on("error", (error: Error & { details?: string }) => again(error.details || error.message));
		call.on("end", () => again("it ended the stream"));
	}

	current(): Svid {
		if (this.#svid === null || this.#svid.notAfterMs <= this.#nowMs()) throw this.unavailable();
		return this.#svid;
	}

	validity(): Validity {
		if (this.#svid === null) throw this.unavailable();
		return this.#svid;
	}

	onRotated(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	idOf(certificate: Uint8Array): string | null {
		const id = certificateSpiffeId(certificate);
		const own = this.#svid;
		// The roots believed are those of the own trust domain: they have no say on others.
		return id !== null && own !== null && trustDomainOf(id) === trustDomainOf(own.spiffeId) ? id : null;
	}

	close(): void {
		this.#closed = true;
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#listeners.clear();
		this.#call?.cancel();
		this.#client?.close();
	}

	unavailable(): WeirError {
		const { notAfterMs } = this.#svid ?? {};
		const what =
			notAfterMs === undefined
				? `no identity from ${this.#socketPath}`
				: `the identity from ${this.#socketPath} ended at ${new Date(notAfterMs).toISOString()}`;
		return new WeirError(
			"unavailable",
			`${what}: ${this.#fault}`,
			"is weir ca or the SPIRE agent running, and does it know this workload?",
		);
	}

	#take(answer: X509SVIDResponse): void {
		const svid = readSvid(answer, this.#nowMs());
		if (typeof svid === "string") {
			this.#failed(svid);
			return;
		}
		this.#failures = 0;
		this.#fault = "no newer one has come";
		if (this.#svid?.certificate === svid.certificate && this.#svid.trustBundle === svid.trustBundle) return;
		this.#svid = svid;
		for (const listener of [...this.#listeners]) listener();
	}

	#failed(why: string): void {
		this.#failures++;
		this.#fault = why;
		if (this.#failures === 1) this.#log(`the agent at ${this.#socketPath}: ${why}${this.#lastOne()}`);
	}

	/** Until when whoever reads the log has time. */
	#lastOne(): string {
		if (this.#svid === null) return "";
		const { notAfterMs } = this.#svid;
		const works = notAfterMs > this.#nowMs() ? "works until" : "ended at";
		return `; the last SVID ${works} ${new Date(notAfterMs).toISOString()}`;
	}
}
