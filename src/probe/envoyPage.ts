/** Pages of Envoy's admin, over its UNIX socket. */
import { type IncomingMessage, request } from "node:http";
import { WeirError } from "../error.js";
import { PROBE_ANSWER_BYTES_MAX, PROBE_TIMEOUT_MS } from "../limits.js";

/** What a page may be. */
export interface Most {
	readonly bytes: number;
	/** Until its last byte. */
	readonly ms: number;
}

/**
 * A page as a whole; of lists that are short.
 * @param adminSocket UNIX socket of Envoy's admin
 * @throws WeirError `unavailable` where it cannot be read, with the cause in few words
 */
export async function readPage(adminSocket: string, path: string): Promise<string> {
	let text = "";
	await readParts(adminSocket, path, { bytes: PROBE_ANSWER_BYTES_MAX, ms: PROBE_TIMEOUT_MS }, (part) => {
		text += part;
	});
	return text;
}

/**
 * A page line by line as it comes, so that a long one neither stands in memory nor keeps others waiting.
 * @param take throws where it is no such page
 * @throws as readPage
 */
export async function readLines(
	adminSocket: string,
	path: string,
	most: Most,
	take: (line: string) => void,
): Promise<void> {
	let rest = "";
	const status = await readParts(adminSocket, path, most, (part) => {
		const lines = (rest + part).split("\n");
		rest = lines.pop() ?? "";
		for (const line of lines) take(line);
	});
	if (status !== 200) throw unreadable("it answers with an error");
	if (rest !== "") take(rest);
}

/** @returns the status, when it has ended */
function readParts(
	socketPath: string,
	path: string,
	{ bytes: bytesMax, ms }: Most,
	take: (part: string) => void,
): Promise<number> {
	return new Promise((resolve, reject) => {
		const call = request({ socketPath, path, agent: false });
		const end = (error: Error): void => {
			clearTimeout(late);
			call.destroy();
			reject(error instanceof WeirError ? error : unreadable("it cannot be reached, or broke off", error));
		};
		const late = setTimeout(() => end(unreadable("it takes too long")), ms).unref();
		call.on("error", end);
		call.on("response", (response: IncomingMessage) => {
			let bytes = 0;
			response.setEncoding("utf8").on("data", (part: string) => {
				bytes += part.length;
				if (bytes > bytesMax) return end(unreadable(`it says more than ${bytesMax / 1024 / 1024} MiB`));
				try {
					take(part);
				} catch (error) {
					end(error as Error);
				}
			});
			response.on("end", () => {
				clearTimeout(late);
				resolve(response.statusCode ?? 0);
			});
			response.on("error", end);
		});
		call.end();
	});
}

/** @param why in few words, for metrics have it: the same for the same cause */
export const unreadable = (why: string, cause?: Error): WeirError =>
	new WeirError(
		"unavailable",
		`Envoy's admin cannot be read: ${why}`,
		"look whether Envoy runs, and whose its admin socket is",
		{ cause },
	);

/** Nobody listens there: no Envoy is here. One that hangs is. */
export const isNobodyThere = ({ cause }: WeirError): boolean =>
	["ENOENT", "ECONNREFUSED"].includes((cause as NodeJS.ErrnoException | undefined)?.code ?? "");
