/** The supervisor while a child starts: reports why it ended, and stops it. */
import t, { type Test } from "tap";
import { type ChildSpec, Supervisor } from "../../../src/cli/stack/supervisor.js";
import { fileOf, temporaryDirectory } from "../command.js";

const child = async (t: Test, source: string, more: Partial<ChildSpec> = {}): Promise<ChildSpec> => {
	const module = await fileOf(await temporaryDirectory(t), "child.mjs", source);
	return { name: "part", module, args: [], ...more };
};

t.test("a child that ends at start: an exit code or a signal", async (t) => {
	const supervisor = new Supervisor({ notice: () => {} });
	await t.rejects(supervisor.start(await child(t, "process.exit(3)")), {
		message: "part ended at start (exit 3)",
		hint: "its own message stands above",
	});
	const crashes = `process.kill(process.pid, "SIGSEGV"); setInterval(() => {}, 1_000);`;
	const message = "part ended at start by the signal SIGSEGV";
	await t.rejects(supervisor.start(await child(t, crashes)), { message, hint: /dmesg/ });
	await t.rejects(supervisor.start(await child(t, crashes, { crashHint: "look at its file" })), {
		message,
		hint: "look at its file",
	});
});

t.test("stop ends a child that still starts, and no other child starts after it", async (t) => {
	const supervisor = new Supervisor({ notice: () => {} });
	// It reports ready when it must stop: stop must still see its exit.
	const late = `process.once("SIGTERM", () => process.send("ready", () => setTimeout(() => process.exit(0), 50)));
		setInterval(() => {}, 1_000);`;
	const spec = await child(t, late);
	const started = supervisor.start(spec).catch((error: Error) => error.message);
	await new Promise((resolve) => setTimeout(resolve, 500));
	const pid = supervisor.pid("part") ?? 0;
	await supervisor.stop();
	await started;
	t.throws(() => process.kill(pid, 0), { code: "ESRCH" });
	await t.rejects(supervisor.start(spec), { message: "part was not started: the stack stops" });
});
