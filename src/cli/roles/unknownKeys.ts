/**
 * Tokens that named a key that Envoy does not have, as ingest has read of them in access logs: what makes control ask the
 * issuers before their keys are due. While ingest is away, no issuer is asked sooner.
 */
import type { IngestClient } from "../../observe/events/client.js";

export class UnknownKeysReader {
	#before: ReadonlyMap<string, number> | null = null;
	#looking = false;

	/** @param tell of each Gateway at which there were more since the last look */
	constructor(
		private readonly ingest: Pick<IngestClient, "unknownKeys">,
		private readonly tell: (gateway: string) => void,
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
				// Any other number is news, as an ingest that was started again counts from 0.
				if (count !== (before?.get(gateway) ?? 0)) this.tell(gateway);
			}
		} catch {
			// It is looked again soon, and no key becomes good or bad by it.
		} finally {
			this.#looking = false;
		}
	}
}
