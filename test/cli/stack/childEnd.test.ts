/** A child of `weir up` whose parent dies before it is ready ends in order. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import t from "tap";

const CHILD = new URL("../../../src/cli/stack/child.js", import.meta.url).href;
const SOURCE = `
	const { stopOnSignal, reportReady } = await import(${JSON.stringify(CHILD)});
	let end;
	const told = new Promise((resolve) => { end = resolve; });
	stopOnSignal(async () => {
		end();
		await new Promise((resolve) => setTimeout(resolve, 50));
		console.log("closed");
	});
	process.send("begun");
	await told;
	reportReady({});
`;

t.test("who is told to end while it starts says no more that it is ready", async (t) => {
	const child = spawn(process.execPath, ["--input-type=module", "-e", SOURCE], {
		stdio: ["ignore", "pipe", "pipe", "ipc"],
	});
	const said: string[] = [];
	for (const stream of [child.stdout, child.stderr]) stream?.on("data", (text: Buffer) => said.push(String(text)));
	await once(child, "message");
	const ended = Promise.all([once(child, "exit"), once(child.stdout as Readable, "end")]);
	child.disconnect();
	const [[code]] = await ended;
	t.same([code, said.join("")], [0, "closed\n"]);
});
