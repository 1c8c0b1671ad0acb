/** Pages of Envoy's admin: as a whole, or line by line, and over the UNIX socket of this machine's. */
import { type IncomingMessage, request } from "node:http";
import {
	type AdminPage,
	type EnvoyAdmin,
	type Most,
	mostOf,
	type TakePart,
	tooLarge,
	tooManyLines,
	UNREAD,
	UnreadPage,
	unreadable,
} from "../access/bypass/reach.js";
import { PROBE_COUNTER_CHARS_MAX, PROBE_COUNTERS_LINES_MAX } from "../limits.js";

/**
 * A page as a whole; of lists that are short.
 * @throws UnreadPage where it cannot be read, with the cause in few words
 */
export async function readPage(admin: EnvoyAdmin, page: AdminPage): Promise<string> {
	let text = "";
	await admin.page(page, (part) => {
		text += part;
	});
	return text;
}

/**
 * A page of counters line by line as it comes, so that a long one neither stands in memory nor keeps others waiting.
 * @param take throws where it is no such page
 * @throws as readPage
 */
export async function readLines(admin: EnvoyAdmin, page: AdminPage, take: (line: string) => void): Promise<void> {
	let rest = "";
	let count = 0;
	const each = (line: string): void => {
		if (++count > PROBE_COUNTERS_LINES_MAX) throw unreadable(tooManyLines(PROBE_COUNTERS_LINES_MAX), "large");
		if (line.length > PROBE_COUNTER_CHARS_MAX) throw unreadable(UNREAD.unlike);
		take(line);
	};
	const status = await admin.page(page, (part) => {
		const lines = (rest + part).split("\n");
		rest = lines.pop() ?? "";
		for (const line of lines) each(line);
		// It is joined with each part that comes.
		if (rest.length > PROBE_COUNTER_CHARS_MAX) throw unreadable(UNREAD.unlike);
	});
	if (status !== 200) throw unreadable("it answers with an error");
	if (rest !== "") each(rest);
}

/** @param socketPath UNIX socket of the admin of this machine's Envoy */
export const localAdmin = (socketPath: string, most: (page: AdminPage) => Most = mostOf): EnvoyAdmin => ({
	page: (page, take) => readParts(socketPath, pathOf(page), most(page), take),
});

function pathOf(page: AdminPage): string {
	switch (page.page) {
		case "ready":
			return "/ready";
		case "server-info":
			return "/server_info";
		case "listeners":
			return "/listeners?format=json";
		case "counters":
			return `/stats?usedonly&filter=${encodeURIComponent(page.filter)}`;
	}
}

/** @returns the status, when it has ended */
function readParts(socketPath: string, path: string, { bytes: bytesMax, ms }: Most, take: TakePart): Promise<number> {
	return new Promise((resolve, reject) => {
		const call = request({ socketPath, path, agent: false });
		const end = (error: Error): void => {
			clearTimeout(late);
			call.destroy();
			reject(error instanceof UnreadPage ? error : unreadable(UNREAD.broken, kindOf(error), error));
		};
		const late = setTimeout(() => end(unreadable(UNREAD.late, "late")), ms).unref();
		call.on("error", end);
		call.on("response", (response: IncomingMessage) => {
			let bytes = 0;
			response.setEncoding("utf8").on("data", (part: string) => {
				bytes += part.length;
				if (bytes > bytesMax) return end(unreadable(tooLarge(bytesMax), "large"));
				try {
					const taken = take(part);
					if (taken === undefined) return;
					response.pause();
					taken.then(() => response.resume(), end);
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

/** Where nobody listens no Envoy is. */
const kindOf = ({ code }: NodeJS.ErrnoException): "nobody" | "broken" =>
	["ENOENT", "ECONNREFUSED"].includes(code ?? "") ? "nobody" : "broken";
