/** One client that opens streams of HTTP/2 and resets each at once, by frames of its own. */
import { once } from "node:events";
import { type ConnectionOptions, connect } from "node:tls";
import { bytesOf, FLAG, FRAME, headerBlock, PREFACE, reset } from "./http2Frames.js";

/** Resolves once the server has ended the connection. */
export async function resetAtOnce(streams: number, path: string, tls: ConnectionOptions): Promise<void> {
	const asked = headerBlock([
		[":method", "POST"],
		[":scheme", "https"],
		[":path", path],
		[":authority", "x"],
		["content-type", "application/grpc"],
		["te", "trailers"],
	]);
	const socket = connect({ ...tls, ALPNProtocols: ["h2"] });
	socket.on("error", () => {});
	await once(socket, "secureConnect");
	const pairs = Array.from({ length: streams }, (_, at) => [
		bytesOf(FRAME.HEADERS, FLAG.END_HEADERS, 1 + 2 * at, asked),
		reset(1 + 2 * at),
	]);
	const closed = once(socket.resume(), "close");
	socket.write(Buffer.concat([PREFACE, bytesOf(FRAME.SETTINGS, 0, 0), ...pairs.flat()]));
	await closed;
}
