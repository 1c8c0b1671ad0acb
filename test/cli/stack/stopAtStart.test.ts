/** `weir up` before READY: a signal stops all that has started, and damaged state is named. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { isAnswered } from "../../../src/trust/local/socket.js";
import { fileOf, MAIN, temporaryDirectory, weir } from "../command.js";
import { gatewayText } from "../documents.js";

t.setTimeout(120_000);

for (const [signal, expected] of [
	["SIGTERM", 143],
	["SIGINT", 130],
] as const)
	t.test(`${signal} before READY ends with code ${expected} and leaves no child`, async (t) => {
		const directory = await temporaryDirectory(t);
		const file = await fileOf(directory, "edge.yaml", gatewayText("port: 0"));
		const data = join(directory, "data");
		const up = spawn(process.execPath, [MAIN, "up", "-f", file, "--data", data], { stdio: ["ignore", "pipe", "pipe"] });
		let printed = "";
		for (const stream of [up.stdout, up.stderr]) stream.on("data", (text: Buffer) => (printed += String(text)));
		// The certificate authority runs, and control starts.
		while (!(await isAnswered(join(data, "run/identity/control.sock")))) await pause(10);
		await pause(100);
		up.kill(signal);
		// Every child that still ran would hold standard error open.
		const [code] = await once(up, "close");
		t.equal(code, expected);
		t.notMatch(printed, /READY|ERR_| {4}at /);
	});

t.test("a damaged state file is named", async (t) => {
	const directory = await temporaryDirectory(t);
	const file = await fileOf(directory, "edge.yaml", gatewayText("port: 0"));
	const data = join(directory, "data");
	await mkdir(join(data, "state"), { recursive: true, mode: 0o700 });
	await writeFile(join(data, "state/state.mdb"), Buffer.alloc(65_536, 0xa7), { mode: 0o600 });
	const { code, stderr } = await weir(["up", "-f", file, "--data", data]);
	t.equal(code, 1);
	t.match(stderr, /control ended at start by the signal SIG\w+; the state file \S+state\/state\.mdb may be damaged/);
	t.notMatch(stderr, "stands above");
});
