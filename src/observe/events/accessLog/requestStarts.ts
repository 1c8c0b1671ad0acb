/**
 * When requests began whose unit or verdict is known only later. The entry of what is sent on has the time of an attempt,
 * and a request has one row of its start, whichever of its entries comes first.
 *
 * A request whose start was not heard (ingest was away, or its Envoy could not reach it) is nobody's: of two arms' such
 * requests the slower are heard of later, and the faster never.
 */
import { OPENED_REQUESTS_MAX } from "../../../limits/index.js";
import { Generations } from "../store/generations.js";
import type { RequestKey } from "../store/requestRow.js";
import type { AccessLogEntry } from "./accessLogEntry.js";

export class RequestStarts {
	/** By Envoy's own id, made anew for each request, whatever its client sent (with our listeners; measured on 1.36 to 1.40). */
	readonly #begun = new Generations<string, number>(OPENED_REQUESTS_MAX);
	/** Of requests whose start row is queued or stored. */
	readonly #opened = new Generations<bigint, number>(OPENED_REQUESTS_MAX);

	/** A start of which nothing is kept yet. */
	begin({ requestId, startUs }: AccessLogEntry): void {
		this.#begun.set(requestId, startUs);
	}

	/** The entry with its request's start; null = that is not known, or a clock went back. */
	dated(entry: AccessLogEntry): AccessLogEntry | null {
		if (entry.kind !== "sent") return entry;
		const startUs = this.#begun.get(entry.requestId);
		return startUs === undefined || startUs > entry.startUs ? null : { ...entry, startUs };
	}

	/**
	 * @param dated an entry of the request
	 * @returns whether the request has a start row from now on, and had none
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
