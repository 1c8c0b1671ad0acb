/**
 * Queue of event store queries: one at a time, in order of arrival. The rollout loop's queries go first, so that users'
 * load does not delay a rollback.
 */
import type { ServerResponse } from "node:http";
import { WeirError } from "../../../error.js";

/** Waiting evidence queries of operators; the same number for the access record log. */
export const QUERIES_WAITING_MAX = 64;

type QueryClass = "loop" | "users";

export class QueryQueue {
	readonly #waiting: Readonly<Record<QueryClass, (() => void)[]>> = { loop: [], users: [] };
	#isBusy = false;

	/**
	 * Runs the query in its turn, unless its client has disconnected by then.
	 * @throws WeirError `unavailable` if too many users' queries wait
	 */
	async run(queryClass: QueryClass, response: ServerResponse, query: () => Promise<void>): Promise<void> {
		if (this.#isBusy) {
			const waiting = this.#waiting[queryClass];
			if (queryClass === "users" && waiting.length >= QUERIES_WAITING_MAX)
				throw new WeirError("unavailable", "too many queries are waiting", "try again");
			await new Promise<void>((resolve) => waiting.push(resolve));
		}
		this.#isBusy = true;
		try {
			if (!response.destroyed) await query();
		} finally {
			const next = this.#waiting.loop.shift() ?? this.#waiting.users.shift();
			if (next === undefined) this.#isBusy = false;
			else next();
		}
	}
}
