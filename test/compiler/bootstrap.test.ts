/** The newest Envoy accepts what the compiler prints; test/long asks the other tested ones. */
import t from "tap";
import { validateBootstrap } from "../envoy/harness.js";
import { bootstraps } from "./bootstraps.js";

for (const [name, bootstrap] of Object.entries(await bootstraps(t))) {
	t.test(`envoy --mode validate accepts a ${name} bootstrap`, async (t) => {
		t.equal(await validateBootstrap(bootstrap), null);
	});
}

t.test("and refuses one that is damaged", async (t) => {
	const { minimal } = await bootstraps(t);
	t.match(await validateBootstrap({ ...minimal, nonsense: 1 }), /nonsense/);
});
