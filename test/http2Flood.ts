/** One client that opens streams of HTTP/2 and resets each at once, by frames of its own. */
import { once } from "node:events";
import { type ConnectionOptions, connect } from "node:tls";

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
	const head = Buffer.alloc(9);
	head.writeUIntBE(payload.length, 0, 3);
	head[3] = type;
	head[4] = flags;
	head.writeUInt32BE(stream, 5);
	return Buffer.concat([head, payload]);
}

/** A header that is new to both tables (RFC 7541 section 6.2.2), of short texts. */
const header = (name: string, value: string): Buffer =>
	Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]);

/** Resolves once the server has ended the connection. */
export async function resetAtOnce(streams: number, path: string, tls: ConnectionOptions): Promise<void> {
	const [HEADERS, RST_STREAM, SETTINGS] = [1, 3, 4];
	const CANCEL = Buffer.from([0, 0, 0, 8]);
	const asked = Buffer.concat([
		...[header(":method", "POST"), header(":scheme", "https"), header(":path", path), header(":authority", "x")],
		...[header("content-type", "application/grpc"), header("te", "trailers")],
	]);
	const socket = connect({ ...tls, ALPNProtocols: ["h2"] });
	socket.on("error", () => {});
	await once(socket, "secureConnect");
	const pairs = Array.from({ length: streams }, (_, at) => [
		frame(HEADERS, 4, 1 + 2 * at, asked),
		frame(RST_STREAM, 0, 1 + 2 * at, CANCEL),
	]);
	const closed = once(socket.resume(), "close");
	socket.write(
		Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(SETTINGS, 0, 0), ...pairs.flat()]),
	);
	await closed;
}
