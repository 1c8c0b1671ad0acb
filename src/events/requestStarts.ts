/**
 * When requests began whose unit or verdict is known only later. The entry of what is sent on has the time of an attempt,
 * and a request has one row of its start, whichever of its entries comes first.
 */
import { OPENED_REQUESTS_MAX } from "../limits.js";
import type { AccessLogEntry } from "./accessLogEntry.js";
import { Generations } from "./generations.js";
import type { RequestKey } from "./requestRow.js";

export class RequestStarts {
	/** By Envoy's own id, made anew for each request, whatever its client sent (with our listeners; measured on 1.36 to 1.40). */
	readonly #begun = new Generations<string, number>(OPENED_REQUESTS_MAX);
	/** Of requests whose start row is queued or stored. */
	readonly #opened = new Generations<bigint, number>(OPENED_REQUESTS_MAX);

	/** A start of which nothing is kept yet. */
	begin({ requestId, startUs }: AccessLogEntry): void {
		this.#begun.set(requestId, startUs);
	}

	/** The entry with its request's start; null = that is not known (or a clock went back), and its end will tell. */
	dated(entry: AccessLogEntry): AccessLogEntry | null {
		if (entry.kind !== "sent") return entry;
		const startUs = this.#begun.get(entry.requestId);
		return startUs === undefined || startUs > entry.startUs ? null : { ...entry, startUs };
	}

	/** @returns whether the request had no start row until now */
	open(request: RequestKey): boolean {
		if (this.isOpen(request)) return false;
		this.#opened.set(request.request, request.startUs);
		return true;
	}

	isOpen({ request, startUs }: RequestKey): boolean {
		return this.#opened.get(request) === startUs;
	}
}
