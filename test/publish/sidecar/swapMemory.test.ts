/** Memory after many large tables, in a process of its own. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import t from "tap";
import { BARE } from "./bareProcess.js";

t.test("twenty tables of 1,000 Services, each with 50 principals, leave a bounded process", async (t) => {
	const child = fork(fileURLToPath(new URL("./swapProcess.js", import.meta.url)), ["20", "1000"], BARE);
	t.teardown(() => void child.kill("SIGKILL"));
	const [{ rssMiB }] = (await once(child, "message")) as [{ rssMiB: number }];
	t.comment(`${rssMiB.toFixed(0)} MiB resident`);
	// Nine parsed and compiled copies took 894 MiB.
	t.ok(rssMiB < 400, `${rssMiB.toFixed(0)} MiB`);
});
