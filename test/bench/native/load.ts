/**
 * Child process of the native and callout benchmarks: upstream and load in one process, which is not measured. On
 * `{port, host, requests}`, with `tls` for client certificates, it sends prepared requests over 32 keep-alive connections
 * and answers `{ok}`, the number of responses with 200.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { startVariantServer } from "../../envoy/variantServer.js";

export interface LoadOrder {
	readonly port: number;
	readonly host: string;
	readonly requests: number;
	/** PEM of the clients: trusted authority, certificate and key. */
	readonly tls?: { readonly ca: string; readonly certificate: string; readonly privateKey: string };
	/** Header lines, one in each request, in turn. */
	readonly lines?: readonly string[];
}

export interface LoadReport {
	readonly ok: number;
}

const CONNECTIONS = 32;
const USERS = 4_096;
const END = Buffer.from("\r\n\r\n");

const upstreams = await Promise.all([startVariantServer("v1"), startVariantServer("v2")]);
const pools = new Map<number, Promise<readonly Socket[]>>();

process.on("message", (order: LoadOrder) => {
	run(order).then(
		(report) => process.send?.(report),
		(error: unknown) => {
			process.stderr.write(`${String(error)}\n`);
			process.exit(1);
		},
	);
});
process.on("disconnect", () => process.exit(0));
process.send?.({ ports: upstreams.map(({ port }) => port) });

async function run({ port, host, requests, tls, lines = [] }: LoadOrder): Promise<LoadReport> {
	const sockets = await pool(port, host, tls);
	const prepared = Array.from({ length: USERS }, (_, index) => {
		const line = lines.length === 0 ? "" : `${lines[index % lines.length]}\r\n`;
		return Buffer.from(
			`GET /v2/models/m/infer HTTP/1.1\r\nhost: ${host}\r\nuser-agent: load/1\r\naccept: */*\r\nx-user-id: user-${index * 7919}\r\n${line}\r\n`,
		);
	});
	let sent = 0;
	let answered = 0;
	let ok = 0;
	await Promise.all(
		sockets.map(
			(socket) =>
				new Promise<void>((resolve, reject) => {
					let rest: Buffer = Buffer.alloc(0);
					const next = (): void => {
						if (sent < requests) socket.write(prepared[sent++ % USERS] ?? "");
						else finish(resolve);
					};
					const onData = (chunk: Buffer): void => {
						rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
						// The upstream's answers have no body.
						if (rest.subarray(-4).equals(END)) {
							answered++;
							if (rest.subarray(9, 12).toString() === "200") ok++;
							rest = Buffer.alloc(0);
							next();
						}
					};
					const onClose = (): void => finish(() => reject(new Error(`a connection closed after ${answered} answers`)));
					const finish = (settle: () => void): void => {
						socket.off("data", onData);
						socket.off("close", onClose);
						settle();
					};
					socket.on("data", onData);
					socket.on("close", onClose);
					next();
				}),
		),
	);
	return { ok };
}

/** The same connections for all rounds of one Envoy: connecting is not what is measured. */
function pool(port: number, host: string, tls: LoadOrder["tls"]): Promise<readonly Socket[]> {
	const made =
		pools.get(port) ??
		Promise.all(
			Array.from({ length: CONNECTIONS }, async () => {
				const socket =
					tls === undefined
						? connect(port, "127.0.0.1")
						: connectTls({
								port,
								host: "127.0.0.1",
								servername: host,
								ca: tls.ca,
								cert: tls.certificate,
								key: tls.privateKey,
							});
				await once(socket, tls === undefined ? "connect" : "secureConnect");
				return socket.setNoDelay(true);
			}),
		);
	pools.set(port, made);
	return made;
}
