/**
 * The gRPC side of ingest: envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs on a UNIX socket. Messages
 * come in as bytes and are decoded lazily; nothing is answered before Envoy ends the stream.
 */
import { Server, ServerCredentials, type ServerReadableStream, type sendUnaryData } from "@grpc/grpc-js";
import { WeirError } from "../error.js";
import { GRPC_MESSAGE_BYTES_MAX } from "../limits.js";
import { claimSocket, restrictSocket } from "../socket.js";
import { type AccessLogEntry, decodeMessage } from "./accessLogEntry.js";
import type { Log } from "./meter.js";

const SERVICE = {
	streamAccessLogs: {
		path: "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
		requestStream: true,
		responseStream: false,
		requestSerialize: (message: Buffer) => message,
		requestDeserialize: (bytes: Buffer) => bytes,
		// StreamAccessLogsResponse has no fields.
		responseSerialize: () => Buffer.alloc(0),
		responseDeserialize: (bytes: Buffer) => bytes,
	},
} as const;

/** Who takes the entries. */
export interface EntrySink {
	/** `receivedMs`: when its message came, by the store's clock. The message's bytes may be kept. */
	offer(entry: AccessLogEntry, receivedMs: number): void;
	/** A message that could not be decoded. */
	broken(): void;
}

/** Listens on the socket path. Throws `already-exists` where another process answers there. */
export async function serveAccessLog(
	socketPath: string,
	sink: EntrySink,
	clock: () => number,
	log: Log,
): Promise<{ close(): Promise<void> }> {
	await claimSocket(socketPath);
	const server = new Server({ "grpc.max_receive_message_length": GRPC_MESSAGE_BYTES_MAX });
	server.addService(SERVICE, {
		streamAccessLogs(stream: ServerReadableStream<Buffer, void>, answer: sendUnaryData<void>) {
			stream.on("data", (message: Buffer) => {
				const receivedMs = clock();
				try {
					decodeMessage(message, (entry) => sink.offer(entry, receivedMs));
				} catch (thrown) {
					sink.broken();
					log.error("an access-log message cannot be decoded", { error: String(thrown) });
				}
			});
			stream.on("end", () => answer(null, undefined));
			// An Envoy that goes away resets its stream; what it sent is kept.
			stream.on("error", () => undefined);
		},
	});
	await new Promise<void>((resolve, reject) => {
		server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error) => {
			if (error === null) resolve();
			else reject(new WeirError("unavailable", `cannot listen on ${socketPath}`, "", { cause: error }));
		});
	});
	await restrictSocket(socketPath);
	return {
		// Envoy keeps its stream open for ever, so a graceful end would never come: it reconnects elsewhere.
		close: async () => server.forceShutdown(),
	};
}
