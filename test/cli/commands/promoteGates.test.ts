/** `weir promote` and `weir approve` while gates take their time: an interrupted command changes nothing. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import t from "tap";
import type { WebhookAnswer } from "../../../src/decide/rollout/ports.js";
import { file } from "../../operate/employment.js";
import { gatedScene } from "../../operate/operations/gatedScene.js";
import { TWO } from "../../operate/operatorScene.js";
import { until } from "../../trust/identity/mesh.js";
import { MAIN } from "../command.js";
import { run } from "../operatorCommand.js";

t.setTimeout(120_000);

t.test("Ctrl-C before the gates have answered cancels the promotion, and that is recorded", async (t) => {
	const { api, as, asked, answers, owner, store } = await gatedScene(t);
	const environment = { WEIR_API: `unix:${api.socket}` };
	const refusals = () => store.audit.page(0, 100, "refused").records;
	const phase = () => store.current.status.experiments.boosted?.phase;
	const interrupted = async (...args: readonly string[]) => {
		const [askedBefore, refusedBefore] = [asked.length, refusals().length];
		let yes = (_: WebhookAnswer): void => {};
		const thinking = new Promise<WebhookAnswer>((resolve) => {
			yes = resolve;
		});
		answers.push(() => thinking);
		const child = spawn(process.execPath, [MAIN, ...args], {
			stdio: "ignore",
			env: { ...process.env, ...environment },
		});
		await until(() => asked.length > askedBefore, "a gate is asked");
		child.kill("SIGINT");
		await once(child, "exit");
		// Control notices the disconnect later.
		await new Promise((resolve) => setTimeout(resolve, 100));
		yes({ ok: true });
		await until(() => refusals().length > refusedBefore || phase() !== "Running", "an end");
		t.equal(phase(), "Running");
		t.match(refusals().at(-1), { verb: "promote", result: "refused", why: /who asked had gone/ });
	};
	await interrupted("promote", "boosted");
	await owner.apply(file(TWO), { dryRun: false });
	const pending = await (await as("ada")).act("boosted", "promote");
	if (pending.outcome !== "pending") throw new Error("not pending");
	const { id } = pending.request;
	await interrupted("approve", id);
	t.match(await run(["approve", id], environment), { code: 0, out: `${id}: approved and done\n` });
	t.equal(phase(), "Promoting");
});
