/**
 * Limits of authenticated clients: concurrent requests and request rate per identity (SPIFFE id, token subject or local
 * user). Servers handle admitted requests in order of arrival.
 */
import type { ServerResponse } from "node:http";
import { RateLimiterMemory, type RateLimiterRes } from "rate-limiter-flexible";
import { WeirError } from "../../error.js";

/**
 * Requests of one authenticated client to one server: concurrent, and per window. A team's senders may share an
 * identity; each request may hold a body of 4 MiB.
 */
export const CLIENT_REQUESTS_AT_ONCE_MAX = 32;
export const CLIENT_REQUESTS_MAX = 2_000;
export const CLIENT_REQUESTS_WINDOW_SECONDS = 10;

/** HTTP 429 with Retry-After. */
export class TooManyRequests extends WeirError {
	constructor(
		client: string,
		readonly exceeded: "rate" | "concurrency",
		readonly afterSeconds: number,
	) {
		const what = exceeded === "rate" ? "sends requests too fast" : "has too many requests in progress";
		super("resource-exhausted", `${client} ${what}`, `try again in ${afterSeconds} s`);
	}
}

export interface ClientLimits {
	readonly atOnce: number;
	readonly requests: number;
	readonly windowSeconds: number;
}

export class ClientLimiter {
	readonly #atOnce: number;
	readonly #rate: RateLimiterMemory;
	readonly #inProgress = new Map<string, number>();

	constructor({
		atOnce = CLIENT_REQUESTS_AT_ONCE_MAX,
		requests = CLIENT_REQUESTS_MAX,
		windowSeconds = CLIENT_REQUESTS_WINDOW_SECONDS,
	}: Partial<ClientLimits> = {}) {
		this.#atOnce = atOnce;
		this.#rate = new RateLimiterMemory({ points: requests, duration: windowSeconds });
	}

	/**
	 * Admits a request, which counts until its response or connection ends.
	 * @throws TooManyRequests
	 */
	async admit(client: string, response: ServerResponse): Promise<void> {
		await this.#rate.consume(client).catch((refused: RateLimiterRes) => {
			throw new TooManyRequests(client, "rate", Math.ceil(refused.msBeforeNext / 1_000));
		});
		const inProgress = this.#inProgress.get(client) ?? 0;
		if (inProgress >= this.#atOnce) throw new TooManyRequests(client, "concurrency", 1);
		const { socket } = response.req;
		if (socket.destroyed) return;
		this.#inProgress.set(client, inProgress + 1);
		const end = (): void => {
			response.off("close", end);
			socket.off("close", end);
			const left = (this.#inProgress.get(client) ?? 1) - 1;
			if (left > 0) this.#inProgress.set(client, left);
			else this.#inProgress.delete(client);
		};
		response.once("close", end);
		// Node does not close a pipelined response that still waits behind another one.
		socket.once("close", end);
	}
}
