/** A child of `weir up` whose parent dies before it is ready ends in order. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import t from "tap";

const CHILD = new URL("../../../src/cli/stack/child.js", import.meta.url).href;
const SOURCE = `
	const { stopOnSignal, reportReady } = await import(${JSON.stringify(CHILD)});
	let end;
	const ending = new Promise((resolve) => { end = resolve; });
	stopOnSignal(async () => {
		end();
		await new Promise((resolve) => setTimeout(resolve, 50));
		console.log("closed");
	});
	process.send("begun");
	await ending;
	reportReady({});
`;
const LATE = `
	const { serveUntilStopped } = await import(${JSON.stringify(CHILD)});
	const disconnected = new Promise((resolve) => process.once("disconnect", resolve));
	process.send("begun");
	await disconnected;
	serveUntilStopped({}, async () => console.log("closed"));
`;

for (const [what, source] of [
	["that must end while it starts", SOURCE],
	["whose parent died while it started", LATE],
] as const)
	t.test(`a child ${what} does not report that it is ready`, async (t) => {
		const child = spawn(process.execPath, ["--input-type=module", "-e", source], {
			stdio: ["ignore", "pipe", "pipe", "ipc"],
		});
		const printed: string[] = [];
		for (const stream of [child.stdout, child.stderr]) stream?.on("data", (text: Buffer) => printed.push(String(text)));
		await once(child, "message");
		const ended = Promise.all([once(child, "exit"), once(child.stdout as Readable, "end")]);
		child.disconnect();
		const [[code]] = await ended;
		t.same([code, printed.join("")], [0, "closed\n"]);
	});
