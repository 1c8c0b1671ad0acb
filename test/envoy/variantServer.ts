/**
 * A tiny HTTP/1.1 upstream on a raw socket: answers every bodyless request with its own name in `x-variant`.
 * It is cheap, so that Envoy is the bottleneck, and it accepts any header bytes.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

export interface VariantServer {
	readonly name: string;
	readonly port: number;
	/** Requests answered so far. */
	requests(): number;
	/** Head of the last request, as latin1. */
	lastHead(): string;
	close(): Promise<void>;
}

/** @param respond whole response; by default 200 with `x-variant: NAME` and no body */
export async function startVariantServer(
	name: string,
	respond: (socket: Socket, head: string) => void = defaultResponse(name),
): Promise<VariantServer> {
	let requests = 0;
	let lastHead = "";
	const sockets = new Set<Socket>();
	const server = createServer((socket) => {
		sockets.add(socket);
		socket.setNoDelay(true);
		socket.on("close", () => sockets.delete(socket));
		socket.on("error", () => {});
		let buffer = "";
		socket.on("data", (chunk) => {
			buffer += chunk.toString("latin1");
			for (let end = buffer.indexOf("\r\n\r\n"); end >= 0; end = buffer.indexOf("\r\n\r\n")) {
				lastHead = buffer.slice(0, end);
				buffer = buffer.slice(end + 4);
				requests++;
				respond(socket, lastHead);
			}
		});
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	return {
		name,
		port: (server.address() as AddressInfo).port,
		requests: () => requests,
		lastHead: () => lastHead,
		async close() {
			for (const socket of sockets) socket.destroy();
			server.close();
			await once(server, "close");
		},
	};
}

function defaultResponse(name: string): (socket: Socket) => void {
	const bytes = Buffer.from(`HTTP/1.1 200 OK\r\nx-variant: ${name}\r\ncontent-length: 0\r\n\r\n`);
	return (socket) => socket.write(bytes);
}

/** Servers v1 … vCOUNT, closed with the test. */
export async function startVariants(
	t: { teardown(run: () => Promise<void>): unknown },
	count: number,
): Promise<readonly VariantServer[]> {
	const servers = await Promise.all(Array.from({ length: count }, (_, index) => startVariantServer(`v${index + 1}`)));
	t.teardown(async () => {
		await Promise.all(servers.map((server) => server.close()));
	});
	return servers;
}
