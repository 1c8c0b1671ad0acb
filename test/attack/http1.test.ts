/** The attack corpus as raw HTTP/1.1 bytes, in every execution, on a real Envoy with our configuration. */
import t from "tap";
import { HEADER_ATTACKS } from "./cases/headers.js";
import { PATH_ATTACKS } from "./cases/paths.js";
import { SMUGGLING_ATTACKS } from "./cases/smuggling.js";
import { attackScene, FORMS } from "./scene.js";
import { exchange, get } from "./wire.js";

const ATTACKS = [...HEADER_ATTACKS, ...PATH_ATTACKS, ...SMUGGLING_ATTACKS];

t.setTimeout(180_000);

for (const form of Object.keys(FORMS)) {
	t.test(form, { timeout: 120_000 }, async (t) => {
		const scene = await attackScene(t, form);
		for (const { id, what, who = "alice", bytes, status, reach, wrong } of ATTACKS) {
			t.test(`${id}: ${what}`, async (t) => {
				scene.upstream.take();
				const { statuses, text } = await exchange(await scene.as(who), bytes);
				const received = scene.upstream.take();
				t.ok(
					status.includes(statuses[0] ?? 0),
					`answered ${statuses.join(", ") || "nothing"}; want ${status.join(" or ")}`,
				);
				t.ok(
					received.length <= reach,
					`${received.length} of at most ${reach} reached the upstream: ${received.map(({ method, url }) => `${method} ${url}`).join(", ")}`,
				);
				if (status.length === 1 && status[0] === 200) t.equal(received.length, reach, "and it did reach it");
				t.equal(wrong?.(received, text) ?? null, null);
			});
		}
		t.test("an allowed request is served", async (t) => {
			scene.upstream.take();
			for (const [who, host] of [
				["alice", "wide.test"],
				["bob", "guarded.test"],
			] as const) {
				const { statuses } = await exchange(await scene.as(who), get(host, "/any"));
				t.same(statuses, [200], who);
			}
			t.equal(scene.upstream.take().length, 2);
			t.equal((await scene.envoy.admin("/ready")).trim(), "LIVE");
		});
	});
}
