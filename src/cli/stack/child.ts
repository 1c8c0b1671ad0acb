/** The child's side of the supervisor: says ready once, ends with its parent, closes in order on SIGTERM. */

/**
 * Runs `close` once on SIGTERM, SIGINT or the parent's death, then exits.
 * @param ready what the parent is told; where there is no parent it is printed as `READY {json}`.
 */
export function serveUntilStopped(ready: unknown, close: () => Promise<void>): void {
	let closing = false;
	const stop = (): void => {
		if (closing) return;
		closing = true;
		close().then(
			() => process.exit(0),
			(error: unknown) => {
				process.stderr.write(`weir: closing failed: ${error instanceof Error ? error.message : String(error)}\n`);
				process.exit(1);
			},
		);
	};
	process.once("SIGTERM", stop);
	process.once("SIGINT", stop);
	if (process.send === undefined) {
		process.stdout.write(`READY ${JSON.stringify(ready)}\n`);
		return;
	}
	process.once("disconnect", stop);
	process.send(ready);
}
