/** How long the command line waits for an answer, and its error after the timeout. */
import { once } from "node:events";
import { createServer } from "node:net";
import { mock } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import t from "tap";
import { GATE_TIMEOUT_MS_MAX, GATES_MAX } from "../../../src/limits/index.js";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import { temporaryDirectory } from "../employment.js";

t.test("the client timeout of a request that may ask gates exceeds all gate timeouts", async (t) => {
	const path = `${temporaryDirectory(t)}/api.sock`;
	const silent = createServer((socket) => socket.on("error", () => {}).resume()).listen(path);
	t.teardown(() => silent.close());
	await once(silent, "listening");
	const client = new ApiClient(`unix:${path}`);
	mock.timers.enable({ apis: ["setTimeout"] });
	t.teardown(() => mock.timers.reset());
	const ended: string[] = [];
	const noted = (what: string, asked: Promise<unknown>) =>
		asked.catch((error) => error).finally(() => ended.push(what));
	const gated = [noted("promote", client.act("x", "promote")), noted("approve", client.approve("x"))];
	const others = [noted("abort", client.act("x", "abort")), noted("status", client.status())];
	mock.timers.tick(60_000);
	const hint = "it may have been done all the same: look at weir status and weir requests before you ask again";
	const late = { code: "deadline-exceeded", message: /gave no answer in time/ };
	t.match(await Promise.all(others), [
		{ ...late, hint },
		{ ...late, hint: "" },
	]);
	mock.timers.tick(GATES_MAX * GATE_TIMEOUT_MS_MAX - 1);
	for (let turns = 0; turns < 10; turns++) await turn();
	t.same(ended.sort(), ["abort", "status"]);
	mock.timers.tick(1);
	t.match(await Promise.all(gated), [
		{ ...late, hint },
		{ ...late, hint },
	]);
});
