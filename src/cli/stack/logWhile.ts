/** Says in the log once that something stands, and once that it does not any more. */
import type { Log } from "../../observe/telemetry/log.js";

const CHECK_MS = 1_000;

/** @param look why it stands; null = it does not. @returns stops it */
export function logWhile(
	log: Pick<Log, "error" | "info">,
	look: () => string | null,
	begun: string,
	over: string,
): () => void {
	let logged = false;
	const timer = setInterval(() => {
		const why = look();
		if (why !== null && !logged) log.error(begun, { why });
		if (why === null && logged) log.info(over);
		logged = why !== null;
	}, CHECK_MS);
	timer.unref();
	return () => clearInterval(timer);
}
