/** Long polls that wait for a new revision. */
export class RevisionWaiters {
	readonly #waiting = new Set<() => void>();

	/** Resolves when the revision changes, after `waitMs`, when `signal` aborts or when the store closes. */
	wait(waitMs: number, signal?: AbortSignal): Promise<void> {
		return new Promise((resolve) => {
			const done = (): void => {
				clearTimeout(timer);
				signal?.removeEventListener("abort", done);
				this.#waiting.delete(done);
				resolve();
			};
			const timer = setTimeout(done, waitMs);
			this.#waiting.add(done);
			if (signal?.aborted === true) done();
			else signal?.addEventListener("abort", done, { once: true });
		});
	}

	wake(): void {
		for (const done of [...this.#waiting]) done();
	}
}
