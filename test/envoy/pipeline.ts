/**
 * HTTP/1.1 by hand: raw request bytes over a few keep-alive connections, pipelined, with answers in order. Node's
 * own client would refuse the awkward header values and is several times slower.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface RawResponse {
	readonly status: number;
	/** In order, names in lower case, values as latin1. */
	readonly headers: readonly (readonly [name: string, value: string])[];
	readonly body: string;
}

/** Where to send: a port on the loopback interface, or a way to open a connection (TLS). */
export type Target = number | (() => Promise<Socket>);

export function headerValues(response: RawResponse, name: string): readonly string[] {
	return response.headers.filter(([key]) => key === name).map(([, value]) => value);
}

/** A bodyless request to the host with the header lines given as raw bytes (name, colon, value). */
export function rawGet(host: string, lines: readonly Buffer[], path = "/", method = "GET"): Buffer {
	const end = Buffer.from("\r\n");
	return Buffer.concat([
		Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n`),
		...lines.flatMap((line) => [line, end]),
		end,
	]);
}

export interface PipelineOptions {
	readonly connections?: number;
	/** Requests in flight on one connection. 1 where many are denied: Envoy 1.40 stalls on a run of pipelined local replies. */
	readonly window?: number;
	/** Methods in the order of the requests, if some are HEAD: their answers have no body. */
	readonly methods?: readonly string[];
}

/**
 * Sends every request and resolves with the answers in the same order. An answer that closes the connection
 * (Envoy does so on 400) makes a new connection for the requests behind it.
 * @param requests without body
 */
export async function pipelined(
	target: Target,
	requests: readonly Buffer[],
	{ connections = 4, window = 16, methods = [] }: PipelineOptions = {},
): Promise<RawResponse[]> {
	const answers = new Array<RawResponse>(requests.length);
	const queue = requests.map((_, index) => index).reverse();
	const worker = async (): Promise<void> => {
		while (queue.length > 0) await oneConnection(target, { requests, methods, window, queue, answers });
	};
	await Promise.all(Array.from({ length: connections }, worker));
	return answers;
}

/** One request on a connection of its own. */
export async function alone(target: Target, request: Buffer): Promise<RawResponse> {
	const [answer] = await pipelined(target, [request], { connections: 1 });
	if (answer === undefined) throw new Error("no answer");
	return answer;
}

interface Work {
	readonly requests: readonly Buffer[];
	readonly methods: readonly string[];
	readonly window: number;
	/** Indexes still to send, last first. */
	readonly queue: number[];
	readonly answers: RawResponse[];
}

async function oneConnection(target: Target, { requests, methods, window, queue, answers }: Work): Promise<void> {
	const socket = typeof target === "number" ? await connectTo(target) : await target();
	socket.setNoDelay(true);
	const open: number[] = [];
	let answeredHere = 0;
	const fill = (): void => {
		while (open.length < window) {
			const index = queue.pop();
			if (index === undefined) break;
			open.push(index);
			socket.write(requests[index] ?? "");
		}
		if (open.length === 0) socket.end();
	};
	const reader = new ResponseReader(
		(response) => {
			const index = open.shift();
			if (index === undefined) throw new Error("an answer without a request");
			answers[index] = response;
			answeredHere++;
			// Envoy would wait a second for us to close first.
			if (headerValues(response, "connection").includes("close")) socket.destroy();
		},
		() => methods[open[0] ?? -1] === "HEAD",
	);
	await new Promise<void>((resolve, reject) => {
		socket.on("data", (chunk) => {
			reader.push(chunk);
			fill();
		});
		socket.on("error", (error: NodeJS.ErrnoException) => {
			if (error.code !== "ECONNRESET" && error.code !== "EPIPE") reject(error);
		});
		socket.on("close", () => {
			// What was sent behind a closing answer was not handled: others take it.
			if (answeredHere === 0 && open.length > 0) reject(new Error(`the connection closed without an answer`));
			queue.push(...open.reverse());
			resolve();
		});
		fill();
	});
}

async function connectTo(port: number): Promise<Socket> {
	const socket = connect(port, "127.0.0.1");
	await once(socket, "connect");
	return socket;
}

/** Cuts a byte stream into responses with Content-Length or chunked bodies. */
class ResponseReader {
	#buffer = "";

	constructor(
		readonly onResponse: (response: RawResponse) => void,
		/** Whether the next answer is one to HEAD. */
		readonly isHead: () => boolean,
	) {}

	push(chunk: Buffer): void {
		this.#buffer += chunk.toString("latin1");
		for (;;) {
			const headEnd = this.#buffer.indexOf("\r\n\r\n");
			if (headEnd < 0) return;
			const [statusLine = "", ...lines] = this.#buffer.slice(0, headEnd).split("\r\n");
			const headers = lines.map((line) => {
				const colon = line.indexOf(":");
				return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
			});
			const body = this.#body(headEnd + 4, headers);
			if (body === null) return;
			this.#buffer = this.#buffer.slice(body.end);
			this.onResponse({ status: Number(statusLine.split(" ")[1]), headers, body: body.text });
		}
	}

	#body(start: number, headers: RawResponse["headers"]): { text: string; end: number } | null {
		if (this.isHead()) return { text: "", end: start };
		const value = (name: string) => headers.find(([key]) => key === name)?.[1];
		if (value("transfer-encoding") === "chunked") {
			let at = start;
			let text = "";
			for (;;) {
				const lineEnd = this.#buffer.indexOf("\r\n", at);
				if (lineEnd < 0) return null;
				const size = Number.parseInt(this.#buffer.slice(at, lineEnd), 16);
				const end = lineEnd + 2 + size + 2;
				if (this.#buffer.length < end) return null;
				if (size === 0) return { text, end };
				text += this.#buffer.slice(lineEnd + 2, end - 2);
				at = end;
			}
		}
		const end = start + Number(value("content-length") ?? 0);
		return this.#buffer.length < end ? null : { text: this.#buffer.slice(start, end), end };
	}
}
