/** One connection to the sidecar's server that speaks HTTP/2 frames by hand. */
import { connect, type Socket } from "node:net";
import type { Test } from "tap";
import { bytesOf, FLAG, FRAME, type Frame, headerBlock, PREFACE } from "../../../trust/tls/http2Frames.js";
import { ECHO, until } from "./rig.js";

export function requestHeaders(stream: number, path: string = ECHO, flags: number = FLAG.END_HEADERS): Buffer {
	const fields = [
		[":method", "POST"],
		[":scheme", "http"],
		[":path", path],
		[":authority", "a"],
		["content-type", "application/grpc"],
	] as const;
	return bytesOf(FRAME.HEADERS, flags, stream, headerBlock(fields));
}

export class RawConnection {
	readonly socket: Socket;
	readonly frames: Frame[] = [];
	closed = false;
	/** Answer PING and SETTINGS as a peer must. */
	polite = true;
	#rest: Buffer = Buffer.alloc(0);

	constructor(socketPath: string) {
		this.socket = connect(socketPath);
		this.socket.on("error", () => {});
		this.socket.on("close", () => {
			this.closed = true;
		});
		this.socket.on("data", (chunk: Buffer) => this.#read(chunk));
	}

	#read(chunk: Buffer): void {
		this.#rest = Buffer.concat([this.#rest, chunk]);
		while (this.#rest.length >= 9) {
			const end = 9 + this.#rest.readUIntBE(0, 3);
			if (this.#rest.length < end) return;
			const [type = 0, flags = 0] = this.#rest.subarray(3, 5);
			const frame = { type, flags, stream: this.#rest.readUInt32BE(5), payload: this.#rest.subarray(9, end) };
			this.#rest = this.#rest.subarray(end);
			this.frames.push(frame);
			if (this.polite) this.acknowledge(frame);
		}
	}

	acknowledge({ type, flags, payload }: Frame): void {
		if ((flags & FLAG.ACK) !== 0) return;
		if (type === FRAME.SETTINGS) this.socket.write(bytesOf(FRAME.SETTINGS, FLAG.ACK, 0));
		if (type === FRAME.PING) this.socket.write(bytesOf(FRAME.PING, FLAG.ACK, 0, payload));
	}

	/** Resolves with the first matching frame. */
	async frame(fits: (frame: Frame) => boolean): Promise<Frame> {
		await until(() => this.frames.some(fits) || this.closed);
		const found = this.frames.find(fits);
		if (found === undefined) throw new Error("the connection closed before");
		return found;
	}

	/** The last frame of a response. */
	end(stream: number): Promise<Frame> {
		return this.frame(
			(frame) =>
				frame.stream === stream &&
				(frame.type === FRAME.RST_STREAM || (frame.type <= 1 && (frame.flags & FLAG.END_STREAM) !== 0)),
		);
	}
}

/** A connection with preface and SETTINGS exchanged, and a window that never closes. */
export async function rawConnection(t: Test, socketPath: string): Promise<RawConnection> {
	const connection = new RawConnection(socketPath);
	t.teardown(() => connection.socket.destroy());
	const window = Buffer.from([0x3f, 0, 0, 0]);
	connection.socket.write(
		Buffer.concat([PREFACE, bytesOf(FRAME.SETTINGS, 0, 0), bytesOf(FRAME.WINDOW_UPDATE, 0, 0, window)]),
	);
	await connection.frame(({ type, flags }) => type === FRAME.SETTINGS && (flags & FLAG.ACK) !== 0);
	return connection;
}
