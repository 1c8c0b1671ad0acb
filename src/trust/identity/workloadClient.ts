/**
 * Gets this process's identity from a SPIFFE agent (our own CA or SPIRE) and keeps it current. While the agent is
 * unavailable, the last valid SVID is used until it ends. An invalid response is logged and ignored.
 */
import { dirname } from "node:path";
import { create } from "@bufbuild/protobuf";
import { Client, type ClientReadableStream, credentials, Metadata } from "@grpc/grpc-js";
import { trustDomainOf } from "../../declare/resources/spiffe.js";
import { WeirError } from "../../error.js";
import { X509SVIDRequestSchema, type X509SVIDResponse } from "../../gen/spiffe/workload_pb.js";
import { requireAgentsFolder } from "../local/socket.js";
import { certificateSpiffeId } from "./peer.js";
import type { LogLine } from "./ports.js";
import { readSvid } from "./readSvid.js";
import type { Identity, Svid } from "./svid.js";
import type { Validity } from "./validity.js";
import { SECURITY_HEADER, WorkloadApiDefinition } from "./wire.js";

/** Response of an agent: SVIDs and bundles of all federated domains; SPIRE's own clients accept 4 MiB. */
const IDENTITY_ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** Pauses between retries to reach an agent; the last one repeats. */
const IDENTITY_RETRY_MS = [50, 100, 250, 500, 1_000] as const;

/** How long a starting process waits for its first SVID. */
const IDENTITY_FIRST_WAIT_MS = 10_000;

export interface WorkloadClientOptions {
	/** The agent's UNIX socket: a path, or `unix:PATH` as in SPIFFE_ENDPOINT_SOCKET. */
	readonly socketPath: string;
	/** Called once per outage of the agent; an invalid response is an outage too. */
	readonly log?: LogLine;
	readonly firstWaitMs?: number;
	readonly nowMs?: () => number;
}

/** The identity of this process. */
export interface Workload extends Identity {
	/** The validity of the newest SVID, also after its end. */
	validity(): Validity;
	/** Stops the updates; current() keeps its value. */
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
	// Detects an agent that hangs.
	"grpc.keepalive_time_ms": 30_000,
	"grpc.keepalive_timeout_ms": 10_000,
};

class Follower implements Workload {
	readonly #socketPath: string;
	readonly #log: LogLine;
	readonly #nowMs: () => number;
	readonly #listeners = new Set<() => void>();
	#svid: Svid | null = null;
	#client: Client | null = null;
	#call: ClientReadableStream<X509SVIDResponse> | null = null;
	#timer: NodeJS.Timeout | null = null;
	/** Consecutive tries without a valid response. */
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
		// A new client for each try: the reconnect backoff of grpc-js is longer than ours.
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
		// Our roots may sign only for our own trust domain.
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

	/** For the log: how long the last SVID is valid. */
	#lastOne(): string {
		if (this.#svid === null) return "";
		const { notAfterMs } = this.#svid;
		const works = notAfterMs > this.#nowMs() ? "works until" : "ended at";
		return `; the last SVID ${works} ${new Date(notAfterMs).toISOString()}`;
	}
}
