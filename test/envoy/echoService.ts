/**
 * A typical existing service: an HTTP/1.1 server with streams, upgrades and odd answers, that echoes
 * its requests. The transparency test calls it directly and through Envoy and compares.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

export interface EchoService {
	readonly port: number;
	/** Largest number of body bytes that lay unread at once: bounded if nothing in between buffers. */
	readonly peakRssGrowth: () => number;
	close(): Promise<void>;
}

const ETAG = '"weir-1"';

export async function startEchoService(): Promise<EchoService> {
	const sockets = new Set<Socket>();
	let growth = 0;
	const server = createServer({ keepAlive: true, keepAliveTimeout: 60_000 }, (request, response) => {
		answer(request, response, (bytes) => {
			growth = Math.max(growth, bytes);
		}).catch((error: unknown) => response.destroy(error as Error));
	});
	server.on("connection", (socket) => {
		sockets.add(socket);
		socket.on("close", () => sockets.delete(socket));
	});
	server.on("checkContinue", (request, response) => {
		if (request.url === "/reject") {
			response.writeHead(417, { "content-length": 0 }).end();
			return;
		}
		response.writeContinue();
		server.emit("request", request, response);
	});
	// A WebSocket server cut down to what passes through a proxy: the handshake, then bytes both ways.
	server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
		const accept = createHash("sha1")
			.update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
			.digest("base64");
		socket.write(
			`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
		);
		if (head.length > 0) socket.write(head);
		socket.pipe(socket);
		socket.on("error", () => {});
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	return {
		port: (server.address() as AddressInfo).port,
		peakRssGrowth: () => growth,
		async close() {
			server.close();
			for (const socket of sockets) socket.destroy();
			await once(server, "close");
		},
	};
}

async function answer(
	request: IncomingMessage,
	response: ServerResponse,
	onGrowth: (bytes: number) => void,
): Promise<void> {
	const { pathname } = new URL(request.url ?? "/", "http://echo");
	switch (pathname) {
		case "/sse": {
			response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
			// Each event goes out only after the client has asked for it on the request body: nothing may buffer.
			let count = 0;
			for await (const _ of request) response.write(`id: ${++count}\ndata: event ${count}\n\n`);
			response.end();
			return;
		}
		case "/upload": {
			const hash = createHash("sha256");
			const before = process.memoryUsage().rss;
			let bytes = 0;
			for await (const chunk of request) {
				hash.update(chunk as Buffer);
				bytes += (chunk as Buffer).length;
				if (bytes % 64 === 0) onGrowth(process.memoryUsage().rss - before);
			}
			response.setHeader("content-type", "text/plain");
			response.end(`${bytes} ${hash.digest("hex")}`);
			return;
		}
		case "/large": {
			response.writeHead(200, { "content-type": "application/octet-stream" });
			const block = Buffer.alloc(65_536, 7);
			for (let index = 0; index < 320; index++) {
				if (!response.write(block)) await once(response, "drain");
			}
			response.end();
			return;
		}
		case "/etag":
			if (request.headers["if-none-match"] === ETAG) response.writeHead(304, { etag: ETAG });
			else response.writeHead(200, { etag: ETAG, "content-type": "text/plain", "content-length": 5 });
			response.end(response.statusCode === 304 ? undefined : "hello");
			return;
		case "/trailers": {
			for await (const _ of request);
			response.writeHead(200, { trailer: "x-checksum", "x-request-trailer": String(request.trailers["x-sum"] ?? "") });
			response.write("body");
			response.addTrailers({ "x-checksum": "42" });
			response.end();
			return;
		}
		case "/status": {
			for await (const _ of request);
			response.writeHead(418, {
				"set-cookie": ["a=1; Path=/", "b=2; Path=/"],
				server: "existing/1.0",
				"x-envoy-mine": "kept",
				"x-weir-arm": "ours/mine",
				"content-type": "text/plain; charset=latin1",
				via: "1.1 older",
			});
			response.end(Buffer.from("caf\xe9", "latin1"));
			return;
		}
		default: {
			const chunks: Buffer[] = [];
			for await (const chunk of request) chunks.push(chunk as Buffer);
			const pairs: [string, string][] = [];
			for (let index = 0; index < request.rawHeaders.length; index += 2) {
				pairs.push([(request.rawHeaders[index] ?? "").toLowerCase(), request.rawHeaders[index + 1] ?? ""]);
			}
			const body = JSON.stringify({
				method: request.method,
				url: request.url,
				headers: pairs,
				body: Buffer.concat(chunks).toString("base64"),
			});
			response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
			response.end(body);
		}
	}
}
