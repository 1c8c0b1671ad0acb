/** A gate on control's own machine is the platform's to declare: control would POST to the loopback for whoever may apply. */
import t from "tap";
import { experiment, file, METRIC, SERVICE } from "./employment.js";
import { mutualApi } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

const now = { dryRun: false };
const LOCAL = "http://127.0.0.1:18999/containers/prune?x=1";
const gate = (url: string, at = "before-step"): string => `{at: ${at}, url: '${url}'}`;
const gated = (name: string, slot: string, ...gates: readonly string[]): string =>
	experiment(name, slot).replace(", alpha: 0.05", `, alpha: 0.05, gates: [${gates.join(", ")}]`);
const REMOTE = gate("https://ci.example/step");

async function scene(t: { teardown(end: () => unknown): unknown }) {
	const made = await mutualApi(t);
	const rules = [
		binding("ada", "apply", ["ada"], "[default]"),
		binding("adam", "admin", ["adam"], "[default]"),
		binding("root", "admin", ["root"], "['*']"),
	];
	const applied = await made.owner.apply(file([SERVICE, METRIC, ...rules].join("---\n")), now);
	if (applied.outcome !== "applied") throw new Error(JSON.stringify(applied));
	const apply = async (who: "ada" | "adam" | "root", text: string) => (await made.as(who)).apply(file(text), now);
	return { ...made, apply };
}

t.test("who may apply in a namespace declares none, nor does its admin", async (t) => {
	const { apply, store } = await scene(t);
	for (const url of [
		LOCAL,
		"http://localhost:1/",
		"http://[::1]:1/",
		"http://127.9.9.9/",
		"https://127.0.0.1/",
		"https://0.0.0.0/",
		"https://[::ffff:127.0.0.1]/",
		"https://a.localhost/",
		"https://localhost./",
		"https://a.localhost./",
	]) {
		for (const at of ["before-step", "before-promotion", "after-rollback"])
			await t.rejects(
				apply("ada", gated("trial", "[0%, 50%]", REMOTE, gate(url, at))),
				{ code: "permission-denied", message: /admin.*on the machine of control/s },
				`${at} ${url}`,
			);
	}
	await t.rejects(apply("adam", gated("trial", "[0%, 50%]", gate(LOCAL))), { code: "permission-denied" });
	await t.rejects(apply("ada", gated("trial", "[0%, 50%]", gate(LOCAL))), { message: /127\.0\.0\.1:18999/ });
	const told = await apply("ada", gated("trial", "[0%, 50%]", gate(LOCAL))).catch(String);
	t.notMatch(told, /prune/, "no path is told");
	t.same(store.current.resources.experiments, []);
	t.match(await apply("ada", gated("trial", "[0%, 50%]", REMOTE)), { outcome: "applied" });
	await t.rejects(apply("ada", gated("trial", "[0%, 50%]", REMOTE, gate(LOCAL))), { code: "permission-denied" });
});

t.test("the platform's admins and the owner of the machine do, and what stands is edited by whoever may", async (t) => {
	const { apply, owner } = await scene(t);
	const text = gated("trial", "[0%, 50%]", gate(LOCAL));
	t.match(await apply("root", text), { outcome: "applied" });
	t.match(await owner.apply(file(gated("other", "[50%, 100%]", gate(LOCAL))), now), { outcome: "applied" });
	t.match(await apply("ada", text), { outcome: "applied" }, "unchanged");
	t.match(await apply("ada", text.replace("minUnits: 500", "minUnits: 501")), { outcome: "applied" });
	await t.rejects(apply("ada", text.replace("prune?x=1", "prune?x=2")), { code: "permission-denied" });
	await t.rejects(apply("ada", text.replace("before-step", "before-promotion")), { code: "permission-denied" });
});
