/**
 * A UNIX socket that serves one identity like a SPIRE agent: SDS for Envoy, the Workload API for other clients. Access to
 * the socket is the identity: the folder's mode (0700) and owner are the boundary.
 */
import { rm } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import {
	type Metadata,
	Server,
	ServerCredentials,
	type ServerDuplexStream,
	type ServerUnaryCall,
	type ServerWritableStream,
	type sendUnaryData,
	status,
} from "@grpc/grpc-js";
import { trustDomainOf } from "../../declare/resources/spiffe.js";
import { WeirError } from "../../error.js";
import type { DiscoveryRequest, DiscoveryResponse } from "../../gen/envoy/service/discovery/v3/discovery_pb.js";
import {
	type X509BundlesRequest,
	type X509BundlesResponse,
	X509BundlesResponseSchema,
	type X509SVIDRequest,
	type X509SVIDResponse,
	X509SVIDResponseSchema,
} from "../../gen/spiffe/workload_pb.js";
import { claimSocket, restrictSocket } from "../local/socket.js";
import { derOf } from "./pem.js";
import type { LogLine, Meter } from "./ports.js";
import { type Refusal, type SecretAnswer, SecretStream, secretsOf, versionOf } from "./secretStream.js";
import type { Svid } from "./svid.js";
import { SECURITY_HEADER, SecretDiscoveryServiceDefinition, secretsResponse, WorkloadApiDefinition } from "./wire.js";

/** Streams on one identity socket: an Envoy opens one for each secret of a listener or cluster (SPIRE's agent has no limit). */
const IDENTITY_STREAMS_MAX = 1_024;

/** A request on an identity socket: a few names and an error message. */
const IDENTITY_REQUEST_BYTES_MAX = 64 * 1024;

export interface AgentSocketOptions {
	readonly socketPath: string;
	/** The SVID to serve. */
	readonly current: () => Svid;
	readonly log: LogLine;
	readonly meter: Meter | null;
}

type SdsCall = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;
type Watch = { readonly changed: () => void; readonly end: (code: status, details: string) => void };

const REFUSALS: Readonly<Record<Refusal, readonly [status, string]>> = {
	"unknown-type": [status.INVALID_ARGUMENT, "only secrets are served here"],
	"unknown-secret": [status.PERMISSION_DENIED, "the workload is not authorized for the requested secret"],
	"too-many-names": [status.INVALID_ARGUMENT, "too many names"],
};

export class AgentSocket {
	readonly #options: AgentSocketOptions;
	readonly #server = new Server({
		"grpc.max_receive_message_length": IDENTITY_REQUEST_BYTES_MAX,
		"grpc.max_concurrent_streams": IDENTITY_STREAMS_MAX,
		"grpc.keepalive_time_ms": 30_000,
		"grpc.keepalive_timeout_ms": 10_000,
	});
	readonly #watches = new Set<Watch>();

	private constructor(options: AgentSocketOptions) {
		this.#options = options;
		this.#server.addService(SecretDiscoveryServiceDefinition, {
			streamSecrets: (call: SdsCall) => this.#streamSecrets(call),
			fetchSecrets: (
				call: ServerUnaryCall<DiscoveryRequest, DiscoveryResponse>,
				answer: sendUnaryData<DiscoveryResponse>,
			) => this.#fetchSecrets(call, answer),
		});
		this.#server.addService(WorkloadApiDefinition, {
			fetchX509Svid: (call: ServerWritableStream<X509SVIDRequest, X509SVIDResponse>) =>
				this.#watchWorkload(call, svidResponse),
			fetchX509Bundles: (call: ServerWritableStream<X509BundlesRequest, X509BundlesResponse>) =>
				this.#watchWorkload(call, bundlesResponse),
		});
	}

	/**
	 * @throws WeirError `already-exists` or `unavailable` when the socket is in use, `failed-precondition` when
	 *   other users can enter its folder
	 */
	static async open(options: AgentSocketOptions): Promise<AgentSocket> {
		await claimSocket(options.socketPath);
		const agent = new AgentSocket(options);
		await new Promise<void>((resolve, reject) => {
			agent.#server.bindAsync(`unix:${options.socketPath}`, ServerCredentials.createInsecure(), (error) => {
				if (error === null) resolve();
				else
					reject(
						new WeirError("unavailable", `cannot listen on ${options.socketPath}: ${error.message}`, "", {
							cause: error,
						}),
					);
			});
		});
		await restrictSocket(options.socketPath);
		return agent;
	}

	/** Sends the current SVID to all open streams. */
	push(): void {
		for (const { changed } of [...this.#watches]) changed();
	}

	/** Number of open streams. */
	get streams(): number {
		return this.#watches.size;
	}

	async close(): Promise<void> {
		for (const { end } of [...this.#watches]) end(status.UNAVAILABLE, "the agent is shutting down");
		this.#server.forceShutdown();
		await rm(this.#options.socketPath, { force: true });
	}

	#streamSecrets(call: SdsCall): void {
		const { current, log, meter } = this.#options;
		const stream = new SecretStream((reason) => {
			meter?.count("weir_identity_rejections_total", "Secrets that an Envoy refused.");
			log(`an Envoy rejects a secret of ${current().spiffeId}: ${reason}`);
		});
		const send = (answer: SecretAnswer | Refusal | null): void => {
			if (answer === null || call.cancelled) return;
			if (typeof answer === "string") watch?.end(...REFUSALS[answer]);
			else call.write(secretsResponse(answer.secrets, answer.version, answer.nonce));
		};
		const watch = this.#watch(call, () => send(stream.changed(current())));
		if (watch === null) return;
		call.on("data", (request: DiscoveryRequest) => send(stream.request(request, current())));
		call.on("end", () => {
			this.#watches.delete(watch);
			call.end();
		});
	}

	#fetchSecrets(
		{ request }: ServerUnaryCall<DiscoveryRequest, DiscoveryResponse>,
		answer: sendUnaryData<DiscoveryResponse>,
	): void {
		const secrets = secretsOf(this.#options.current(), request);
		if (typeof secrets === "string") {
			const [code, details] = REFUSALS[secrets];
			answer({ code, details });
		} else answer(null, secretsResponse(secrets, versionOf(secrets), "1"));
	}

	#watchWorkload<Answer>(
		call: ServerWritableStream<unknown, Answer> & { readonly metadata: Metadata },
		answerOf: (svid: Svid) => Answer,
	): void {
		const header = call.metadata.get(SECURITY_HEADER);
		if (header.length !== 1 || header[0] !== "true") {
			call.emit("error", { code: status.INVALID_ARGUMENT, details: `the header ${SECURITY_HEADER}: true is missing` });
			return;
		}
		const send = (): void => {
			if (!call.cancelled) call.write(answerOf(this.#options.current()));
		};
		if (this.#watch(call, send) !== null) send();
	}

	/** @returns null if too many streams are open; the call has ended then */
	#watch(call: SdsCall | ServerWritableStream<unknown, unknown>, changed: () => void): Watch | null {
		let watching = true;
		const end = (code: status, details: string): void => {
			if (!watching) return;
			watching = false;
			this.#watches.delete(watch);
			call.emit("error", { code, details });
		};
		const watch: Watch = { changed, end };
		for (const event of ["cancelled", "close", "error"] as const) call.on(event, () => this.#watches.delete(watch));
		if (this.#watches.size >= IDENTITY_STREAMS_MAX) {
			end(status.RESOURCE_EXHAUSTED, `${IDENTITY_STREAMS_MAX} streams are open`);
			return null;
		}
		this.#watches.add(watch);
		return watch;
	}
}

function svidResponse(svid: Svid): X509SVIDResponse {
	const [key = new Uint8Array()] = derOf(svid.privateKey);
	return create(X509SVIDResponseSchema, {
		svids: [
			{
				spiffeId: svid.spiffeId,
				x509Svid: Buffer.concat(derOf(svid.certificate)),
				x509SvidKey: key,
				bundle: Buffer.concat(derOf(svid.trustBundle)),
			},
		],
	});
}

function bundlesResponse(svid: Svid): X509BundlesResponse {
	return create(X509BundlesResponseSchema, {
		bundles: { [`spiffe://${trustDomainOf(svid.spiffeId)}`]: Buffer.concat(derOf(svid.trustBundle)) },
	});
}
