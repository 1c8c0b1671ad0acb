/**
 * Start times of requests whose unit or verdict is known later. An attempt's entry has the time of the attempt, and a
 * request has one start row, whichever entry comes first.
 *
 * A request without a received start (ingest was down, or unreachable) counts for no arm: only the slow requests would
 * be seen, which biases the comparison of arms.
 */

import { Generations } from "../../store/generations.js";
import type { AccessLogEntry } from "../accessLog/accessLogEntry.js";
import type { RequestKey } from "./requestRow.js";

/** Requests of late units that have a stored row until they end, and starts of requests that are not forwarded yet. */
const OPENED_REQUESTS_MAX = 100_000;

export class RequestStarts {
	/** By Envoy's own id, new for each request, whatever its client sent (with our listeners; measured on 1.36 to 1.40). */
	readonly #begun = new Generations<string, number>(OPENED_REQUESTS_MAX);
	/** Requests whose start row is queued or stored. */
	readonly #opened = new Generations<bigint, number>(OPENED_REQUESTS_MAX);

	/** Records a start without a row yet. */
	begin({ requestId, startUs }: AccessLogEntry): void {
		this.#begun.set(requestId, startUs);
	}

	/** The entry with its request's start; null = unknown, or a clock went back. */
	dated(entry: AccessLogEntry): AccessLogEntry | null {
		if (entry.kind !== "sent") return entry;
		const startUs = this.#begun.get(entry.requestId);
		return startUs === undefined || startUs > entry.startUs ? null : { ...entry, startUs };
	}

	/**
	 * @param dated an entry of the request
	 * @returns whether this call adds the request's start row
	 */
	open({ requestId, startUs }: AccessLogEntry, request: RequestKey): boolean {
		if (this.isOpen(request) || this.#begun.get(requestId) !== startUs) return false;
		this.#opened.set(request.request, request.startUs);
		return true;
	}

	isOpen({ request, startUs }: RequestKey): boolean {
		return this.#opened.get(request) === startUs;
	}
}
