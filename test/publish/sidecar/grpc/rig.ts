/** An echo server on the sidecar's gRPC server, and a client that sends given bytes, valid or not. */
import { mkdtempSync, rmSync } from "node:fs";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { Health } from "../../../../src/publish/sidecar/grpc/health.js";
import type { GrpcCounters } from "../../../../src/publish/sidecar/grpc/ports.js";
import {
	type GrpcServer,
	type GrpcServerOptions,
	startGrpcServer,
} from "../../../../src/publish/sidecar/grpc/server.js";
import { GRPC, GrpcFailure, type Methods } from "../../../../src/publish/sidecar/grpc/service.js";

export const ECHO = "/test.Echo/Echo";
export const STREAM = "/test.Echo/Stream";

export class RememberingCounters implements GrpcCounters {
	readonly ends: [path: string, code: number][] = [];
	readonly sheds: string[] = [];
	readonly faults: [path: string, error: unknown][] = [];
	readonly broken: Error[] = [];
	ended(path: string, code: number): void {
		this.ends.push([path, code]);
	}
	shed(path: string): void {
		this.sheds.push(path);
	}
	threw(path: string, error: unknown): void {
		this.faults.push([path, error]);
	}
	brokeConnection(error: Error): void {
		this.broken.push(error);
	}
	readonly handshakes: string[] = [];
	failedHandshake(fault: string): void {
		this.handshakes.push(fault);
	}
	codes(): number[] {
		return this.ends.map(([, code]) => code);
	}
}

/** Of the streams that were opened. */
export interface Streams {
	opened: number;
	messages: number;
	ended: number;
}

/** Messages with commands for the echo server; it returns all others unchanged. */
export const ASK = { fail: Buffer.from("fail"), throw: Buffer.from("throw") } as const;

function answer(message: Buffer): Buffer | GrpcFailure {
	if (message.equals(ASK.fail)) return new GrpcFailure(GRPC.INVALID_ARGUMENT, "100 % nicht möglich\n");
	if (message.equals(ASK.throw)) throw new Error("a fault");
	return Buffer.from(message);
}

export function echoMethods(streams: Streams = { opened: 0, messages: 0, ended: 0 }): Methods {
	return new Map<string, ReturnType<Methods["get"]> & object>([
		[ECHO, { kind: "unary", handle: answer }],
		[
			STREAM,
			{
				kind: "stream",
				open: (metadata) => {
					streams.opened++;
					if (metadata["x-open"] === "throw") throw new Error("a fault");
					return {
						message: (message) => {
							streams.messages++;
							return answer(message);
						},
						ended: () => {
							streams.ended++;
							if (metadata["x-ended"] === "throw") throw new Error("a fault");
						},
					};
				},
			},
		],
	]);
}

export interface Echo {
	readonly server: GrpcServer;
	readonly socketPath: string;
	readonly health: Health;
	readonly counters: RememberingCounters;
	readonly streams: Streams;
}

export async function startEcho(t: Test, options: Partial<GrpcServerOptions> = {}): Promise<Echo> {
	const folder = mkdtempSync(join(tmpdir(), "weir-grpc-"));
	const socketPath = join(folder, "s.sock");
	const counters = new RememberingCounters();
	const health = new Health();
	const streams: Streams = { opened: 0, messages: 0, ended: 0 };
	const server = await startGrpcServer({
		listen: { socketPath },
		methods: echoMethods(streams),
		health,
		counters,
		// Clients in this process work in the same turns, which must not count as a queue.
		limits: { queueMs: 60_000 },
		...options,
	});
	t.teardown(async () => {
		await server.close();
		rmSync(folder, { recursive: true, force: true });
	});
	return { server, socketPath, health, counters, streams };
}

export function open(t: Test, socketPath: string): ClientHttp2Session {
	const session = connect("http://sidecar", { createConnection: () => connectSocket(socketPath) });
	session.on("error", () => {});
	t.teardown(() => session.destroy());
	return session;
}

export function framed(message: Uint8Array | string, flag = 0): Buffer {
	const bytes = Buffer.from(message);
	const prefix = Buffer.alloc(5);
	prefix[0] = flag;
	prefix.writeUInt32BE(bytes.length, 1);
	return Buffer.concat([prefix, bytes]);
}

export interface Answer {
	readonly http: number;
	readonly headers: IncomingHttpHeaders;
	/** grpc-status of trailers or Trailers-Only. */
	readonly code: number | undefined;
	readonly words: string | undefined;
	readonly body: Buffer;
	/** RST_STREAM code, 0 for a stream that ended well. */
	readonly reset: number;
}

export interface Sent {
	readonly path?: string;
	readonly headers?: OutgoingHttpHeaders;
	/** DATA in these pieces. */
	readonly body?: readonly Uint8Array[];
	/** False leaves the request open. */
	readonly end?: boolean;
}

export function call(
	session: ClientHttp2Session,
	{ path = ECHO, headers, body = [], end = true }: Sent,
): Promise<Answer> {
	return new Promise((resolve) => {
		const stream = session.request(
			{ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...headers },
			{ endStream: end && body.length === 0 },
		);
		let response: IncomingHttpHeaders = {};
		let trailers: IncomingHttpHeaders = {};
		const chunks: Buffer[] = [];
		stream.on("response", (got) => {
			response = got;
		});
		stream.on("trailers", (got) => {
			trailers = got;
		});
		stream.on("data", (chunk: Buffer) => chunks.push(chunk));
		stream.on("error", () => {});
		stream.on("close", () => {
			const status = trailers["grpc-status"] ?? response["grpc-status"];
			const words = trailers["grpc-message"] ?? response["grpc-message"];
			resolve({
				http: Number(response[":status"]),
				headers: response,
				code: status === undefined ? undefined : Number(status),
				words: words === undefined ? undefined : String(words),
				body: Buffer.concat(chunks),
				reset: stream.rstCode,
			});
		});
		body.forEach((piece, i) => {
			if (end && i === body.length - 1) stream.end(piece);
			else stream.write(piece);
		});
	});
}

/** Waits for a condition that depends on other events. */
export async function until(condition: () => boolean): Promise<void> {
	// A few turns of the loop first; a longer wait must not use a core.
	for (let turns = 0; !condition(); turns++) {
		await new Promise((resolve) => (turns < 50 ? setImmediate(resolve) : setTimeout(resolve, 1)));
	}
}
