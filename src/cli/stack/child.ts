/**
 * The child's side of the supervisor: reports ready once, ends with its parent, closes in order on SIGTERM. A child that
 * hangs kills itself, because its supervisor may be dead.
 */

/** Below the supervisor's grace. */
const CLOSE_MS = 4_500;
/** How long an exit waits for file operations that still run. */
const FILES_MS = 500;

/**
 * Runs `close` once on SIGTERM, SIGINT or the parent's death, then exits.
 * @param ready sent to the parent; without a parent it is printed as `READY {json}`.
 */
export function serveUntilStopped(ready: unknown, close: () => Promise<void>): void {
	stopOnSignal(close);
	reportReady(ready);
}

let closing = false;

/** Sent to the parent; without a parent printed as `READY {json}`. Not while closing. */
export function reportReady(ready: unknown): void {
	if (closing) return;
	if (process.send === undefined) process.stdout.write(`READY ${JSON.stringify(ready)}\n`);
	// A parent that has just died needs no report; "disconnect" ends this process.
	else process.send(ready, undefined, undefined, () => {});
}

/** Runs `close` once on SIGTERM, SIGINT or the parent's death, then exits. */
export function stopOnSignal(close: () => Promise<void>): void {
	const stop = (): void => {
		if (closing) return;
		closing = true;
		// Without a parent, another supervisor (systemd, kubelet) enforces its own grace period.
		if (process.send !== undefined) setTimeout(killSelf, CLOSE_MS);
		close().then(
			() => exit(0),
			(error: unknown) => {
				process.stderr.write(`weir: closing failed: ${error instanceof Error ? error.message : String(error)}\n`);
				exit(1);
			},
		);
	};
	process.once("SIGTERM", stop);
	process.once("SIGINT", stop);
	if (process.send === undefined) return;
	process.once("disconnect", stop);
	// The parent may have died before the listener was there.
	if (!process.connected) stop();
}

/** Node's exit waits for the threads that read files, and one on a pipe or a dead mount never comes back. */
function exit(code: number): void {
	if (!filesAtWork()) process.exit(code);
	setTimeout(() => {
		if (filesAtWork()) killSelf();
		process.exit(code);
	}, FILES_MS);
}

const filesAtWork = (): boolean => process.getActiveResourcesInfo().some((name) => name.startsWith("FSReq"));

const killSelf = (): void => void process.kill(process.pid, "SIGKILL");
