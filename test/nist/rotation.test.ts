/** No request fails while all identities of the stack are renewed several times under traffic. */
import { EventEmitter, once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { APP, startScene } from "./scene.js";

t.setTimeout(240_000);

t.test("every identity is replaced three times while requests go through", async (t) => {
	const scene = await startScene(t, {
		up: ["--svid-lifetime", "12s"],
		documents: () => `apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: app-may}
spec: {action: allow, services: [model], principals: ["${APP}"]}
---`,
	});
	const events = new EventEmitter();
	const seen = new Set<string>([scene.identities.app.current().certificate]);
	t.teardown(
		scene.identities.app.onRotated(() => {
			seen.add(scene.identities.app.current().certificate);
			events.emit("rotated");
		}),
	);
	let running = true;
	const answers = new Map<string, number>();
	const load = async (): Promise<void> => {
		while (running) {
			const answer = await scene.ask({ as: "app" }).then(
				({ status }) => String(status),
				(error: Error) => error.message,
			);
			answers.set(answer, (answers.get(answer) ?? 0) + 1);
			await pause(100);
		}
	};
	const loads = [load(), load()];
	while (seen.size < 4) await once(events, "rotated");
	running = false;
	await Promise.all(loads);
	t.same([...answers.keys()], ["200"]);
	t.ok((answers.get("200") ?? 0) > 20, `${answers.get("200")} requests`);
});
