/**
 * A sidecar gone wrong: an HTTP/2 server on raw node:http2 that answers each call as a test says, byte by byte, so
 * that it can do what no gRPC library lets one do.
 */
import { once } from "node:events";
import {
	createServer,
	type IncomingHttpHeaders,
	type OutgoingHttpHeaders,
	type ServerHttp2Session,
	type ServerHttp2Stream,
} from "node:http2";

/** One call as it came. */
export interface Call {
	readonly stream: ServerHttp2Stream;
	readonly metadata: IncomingHttpHeaders;
	/** The first message. */
	readonly message: Buffer;
}

export type Behaviour = (call: Call) => void;

export interface WrongServer {
	/** What it does from now on. */
	behave(behaviour: Behaviour): void;
	/** Calls so far. */
	calls(): number;
	connections(): number;
	close(): Promise<void>;
}

export async function startWrongServer(socketPath: string): Promise<WrongServer> {
	let behaviour: Behaviour = ({ stream }) => stream.close();
	let calls = 0;
	let connections = 0;
	const sessions = new Set<ServerHttp2Session>();
	const server = createServer({ settings: { maxConcurrentStreams: 10_000 } });
	server.on("session", (session) => {
		connections++;
		sessions.add(session);
		session.on("close", () => sessions.delete(session));
		session.on("error", () => {});
	});
	server.on("stream", (stream, metadata) => {
		let bytes = Buffer.alloc(0);
		let called = false;
		stream.on("error", () => {});
		stream.on("data", (chunk: Buffer) => {
			bytes = Buffer.concat([bytes, chunk]);
			if (called || bytes.length < 5 || bytes.length < 5 + bytes.readUInt32BE(1)) return;
			called = true;
			calls++;
			behaviour({ stream, metadata, message: bytes.subarray(5, 5 + bytes.readUInt32BE(1)) });
		});
	});
	server.on("sessionError", () => {});
	server.listen(socketPath);
	await once(server, "listening");
	return {
		behave: (next) => {
			behaviour = next;
		},
		calls: () => calls,
		connections: () => connections,
		close: async () => {
			const closed = new Promise((resolve) => server.close(resolve));
			for (const session of sessions) session.destroy();
			await closed;
		},
	};
}

/** gRPC framing of one message, uncompressed. */
export function framed(message: Uint8Array): Buffer {
	const head = Buffer.alloc(5);
	head.writeUInt32BE(message.length, 1);
	return Buffer.concat([head, message]);
}

/** Response headers of a gRPC answer. */
export const GRPC_HEADERS: OutgoingHttpHeaders = { ":status": 200, "content-type": "application/grpc" };

/** Answers with these bytes, and ends the call with the status. */
export function answerBytes({ stream }: Call, bytes: Uint8Array, status: Readonly<Record<string, string>>): void {
	stream.respond(GRPC_HEADERS, { waitForTrailers: true });
	stream.on("wantTrailers", () => stream.sendTrailers(status));
	stream.end(bytes);
}

/** Ends the call by headers alone (Trailers-Only). */
export function answerStatus({ stream }: Call, status: Readonly<Record<string, string>>): void {
	stream.respond({ ...GRPC_HEADERS, ...status }, { endStream: true });
}
