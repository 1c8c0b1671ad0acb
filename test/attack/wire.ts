/** Sends an attacker's bytes unchanged: nothing is checked, completed or escaped. */
import type { Socket } from "node:net";

/** Above any answer that a busy machine gives, and above the Gateway's own limit for a head (5 s). */
const HELD_MS = 30_000;

export interface Exchange {
	/** Status codes of all answers, in order. */
	readonly statuses: readonly number[];
	/** All that came, latin1. */
	readonly text: string;
}

/**
 * Sends the bytes and resolves when the peer has closed, which a request with `Connection: close` and every refusal of
 * Envoy's codec does.
 * @throws Error when the peer still holds the connection after HELD_MS
 */
export function exchange(socket: Socket, bytes: Buffer): Promise<Exchange> {
	return new Promise((resolve, reject) => {
		let text = "";
		const held = setTimeout(() => {
			socket.destroy();
			reject(new Error(`the connection was held; so far: ${JSON.stringify(text.slice(0, 200))}`));
		}, HELD_MS);
		socket.on("data", (chunk: Buffer) => {
			text += chunk.toString("latin1");
			// A refusal is followed by a second in which Envoy waits for us to close first.
			if (complete(text)) socket.destroy();
		});
		socket.on("error", () => {});
		socket.on("close", () => {
			clearTimeout(held);
			resolve({
				text,
				statuses: [...text.matchAll(/(?:^|\n)HTTP\/1\.1 ([0-9]{3}) /g)].map(([, code]) => Number(code)),
			});
		});
		socket.write(bytes);
	});
}

/** Whether the last answer, the closing one, has all of its body. */
function complete(text: string): boolean {
	const at = text.lastIndexOf("HTTP/1.1 ");
	const head = text.indexOf("\r\n\r\n", at);
	if (head < 0) return false;
	const last = text.slice(at, head);
	if (!/\r\nconnection: close/i.test(last)) return false;
	const length = /\r\ncontent-length: ([0-9]+)/i.exec(last);
	if (length !== null) return text.length >= head + 4 + Number(length[1]);
	return /\r\ntransfer-encoding: chunked/i.test(last) ? text.endsWith("0\r\n\r\n") : true;
}

export const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");

/** A bodyless request that asks for the connection to be closed. Lines are latin1, without their ends. */
export function get(host: string, path: string, lines: readonly string[] = [], method = "GET"): Buffer {
	return latin1(
		`${[`${method} ${path} HTTP/1.1`, `Host: ${host}`, "Connection: close", ...lines].join("\r\n")}\r\n\r\n`,
	);
}
