/**
 * Makes control fetch an issuer's keys early: ingest reads in access logs of tokens whose key Envoy does not have. While
 * ingest is unavailable, no issuer is asked early.
 */
import type { IngestClient } from "../../observe/events/client.js";

export class UnknownKeysReader {
	#before: ReadonlyMap<string, number> | null = null;
	#looking = false;

	/** @param report called for each Gateway with such tokens since the last look */
	constructor(
		private readonly ingest: Pick<IngestClient, "unknownKeys">,
		private readonly report: (gateway: string) => void,
	) {}

	/** One at a time; never rejects. */
	async look(): Promise<void> {
		if (this.#looking) return;
		this.#looking = true;
		try {
			const counts = new Map(Object.entries(await this.ingest.unknownKeys()));
			const before = this.#before;
			this.#before = counts;
			for (const [gateway, count] of counts) {
				// Not only a greater number, because a restarted ingest counts from 0.
				if (count !== (before?.get(gateway) ?? 0)) this.report(gateway);
			}
		} catch {
			// Retried soon; keys are not affected.
		} finally {
			this.#looking = false;
		}
	}
}
