/** The client side of the access log service, as Envoy is one. */
import { Client, type ClientWritableStream, credentials } from "@grpc/grpc-js";
import type { IssuedCertificate } from "../../trust/identity/developmentCa.js";

const METHOD = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";

/** A stream to the access log service. */
export class AccessLogStream {
	readonly #client: Client;
	readonly #stream: ClientWritableStream<Buffer>;
	readonly #done: Promise<void>;

	constructor(socketPath: string) {
		this.#client = new Client(`unix:${socketPath}`, credentials.createInsecure());
		let finish: () => void = () => undefined;
		this.#done = new Promise((resolve) => {
			finish = resolve;
		});
		this.#stream = this.#client.makeClientStreamRequest(
			METHOD,
			(message: Buffer) => message,
			(bytes: Buffer) => bytes,
			() => finish(),
		);
		this.#stream.on("error", () => undefined);
	}

	/** Resolves when the message is written. */
	write(message: Buffer): Promise<void> {
		return new Promise((resolve) => this.#stream.write(message, () => resolve()));
	}

	/** Resolves when the server has read all and answered. */
	async end(): Promise<void> {
		this.#stream.end();
		await this.#done;
		this.#client.close();
	}
}

/**
 * A whole stream over mTLS.
 * @param own null = no certificate is shown
 * @param ends whether the client does
 * @returns gRPC status code that it ended with
 */
export function streamOverTls(
	port: number,
	ca: string,
	own: IssuedCertificate | null,
	messages: readonly Buffer[],
	ends = true,
): Promise<number> {
	const [key, certificate] =
		own === null ? [null, null] : [own.privateKey, own.certificate].map((pem) => Buffer.from(pem));
	const channel = credentials.createSsl(Buffer.from(ca), key, certificate, { checkServerIdentity: () => undefined });
	const client = new Client(`127.0.0.1:${port}`, channel);
	return new Promise((resolve) => {
		const sent = client.makeClientStreamRequest(
			METHOD,
			(message: Buffer) => message,
			(bytes: Buffer) => bytes,
			(error) => {
				client.close();
				resolve(error?.code ?? 0);
			},
		);
		sent.on("error", () => undefined);
		for (const message of messages) sent.write(message);
		if (ends) sent.end();
	});
}
