/** The default API of the command line: the stack in ./.weir. */
import { mkdir, realpath, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { addressOf } from "../../../src/cli/commands/apiAccess.js";
import { temporaryDirectory } from "../command.js";

t.test("the stack of weir up, else the socket of weir control beside it, else nothing", async (t) => {
	const before = process.cwd();
	const directory = await realpath(await temporaryDirectory(t));
	process.chdir(directory);
	t.teardown(() => process.chdir(before));
	t.throws(() => addressOf({}), {
		code: "unavailable",
		message: /^neither weir up nor weir control runs on \.weir in this directory/,
	});
	const run = join(directory, ".weir", "run");
	await mkdir(run, { recursive: true, mode: 0o700 });
	const socket = join(run, "api.sock");
	await writeFile(socket, "");
	t.equal(addressOf({}), `unix:${socket}`, "weir control writes no addresses.json");
	await writeFile(join(directory, ".weir", "addresses.json"), JSON.stringify({ api: "unix:/elsewhere/api.sock" }));
	t.equal(addressOf({}), "unix:/elsewhere/api.sock", "weir up --run names its own");
	t.equal(addressOf({ api: "https://control:9443" }), "https://control:9443", "a named address has precedence");
});
