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

t.test("a child that must end while it starts does not report that it is ready", async (t) => {
	const child = spawn(process.execPath, ["--input-type=module", "-e", SOURCE], {
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
