/** The client side of the access log service, as Envoy is one. */
import { Client, type ClientWritableStream, credentials } from "@grpc/grpc-js";

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
			"/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
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
