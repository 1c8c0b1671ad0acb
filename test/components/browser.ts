/** A real Chromium over its debugging pipe: one page at a time, and everything that it asked for or complained of. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:fs";
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";

const PLACES = [
	"/usr/bin/chromium",
	"/usr/bin/chromium-browser",
	"/usr/bin/google-chrome",
	"/usr/bin/google-chrome-stable",
];

/** Path of the browser, or null where there is none. CHROMIUM names another one. */
export async function chromium(): Promise<string | null> {
	for (const path of [process.env.CHROMIUM ?? "", ...PLACES]) {
		if (
			path !== "" &&
			(await access(path, constants.X_OK).then(
				() => true,
				() => false,
			))
		)
			return path;
	}
	return null;
}

type Fields = Readonly<Record<string, unknown>>;

export interface Browser {
	/** One command of the DevTools protocol to the page. */
	send(method: string, params?: Fields): Promise<Fields>;
	/** Events of the page so far. */
	readonly events: readonly { readonly method: string; readonly params: Fields }[];
	close(): Promise<void>;
}

const FLAGS = [
	...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
	...["--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--remote-debugging-pipe"],
];

export async function startBrowser(path: string): Promise<Browser> {
	const profile = await mkdtemp(join(tmpdir(), "weir-chromium-"));
	const child = spawn(path, [...FLAGS, `--user-data-dir=${profile}`, "about:blank"], {
		stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
	});
	const exited = once(child, "exit");
	const [to, from] = [child.stdio[3] as Writable, child.stdio[4] as Readable];
	const waiting = new Map<number, { resolve(result: Fields): void; reject(error: Error): void }>();
	const events: { method: string; params: Fields }[] = [];
	let text = "";
	from.setEncoding("utf8").on("data", (chunk: string) => {
		const messages = `${text}${chunk}`.split("\0");
		text = messages.pop() ?? "";
		for (const one of messages) {
			const { id, result, error, method, params } = JSON.parse(one);
			if (id === undefined) events.push({ method, params });
			else if (error === undefined) waiting.get(id)?.resolve(result);
			else waiting.get(id)?.reject(new Error(error.message));
		}
	});
	let last = 0;
	const command = (method: string, params: Fields = {}, sessionId?: string): Promise<Fields> => {
		last += 1;
		to.write(`${JSON.stringify({ id: last, method, params, ...(sessionId === undefined ? {} : { sessionId }) })}\0`);
		return new Promise((resolve, reject) => waiting.set(last, { resolve, reject }));
	};
	const { targetId } = await command("Target.createTarget", { url: "about:blank" });
	const { sessionId } = await command("Target.attachToTarget", { targetId, flatten: true });
	const send = (method: string, params: Fields = {}) => command(method, params, String(sessionId));
	for (const domain of ["Page", "Network", "Runtime", "Log"]) await send(`${domain}.enable`);
	return {
		send,
		events,
		close: async () => {
			child.kill("SIGKILL");
			await exited;
			await rm(profile, { recursive: true, force: true, maxRetries: 5 });
		},
	};
}
