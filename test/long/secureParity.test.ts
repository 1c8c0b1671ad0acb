/** Parity of access rules at length. WEIR_SECURE_PARITY: requests in all, one million by default. */
import t from "tap";
import { runSecure, SECURE_FORMS } from "../parity/secure/run.js";

const TOTAL = Number(process.env.WEIR_SECURE_PARITY ?? 1_000_000);
const EACH = 20_000;
const ROUNDS = Math.ceil(TOTAL / (EACH * Object.keys(SECURE_FORMS).length));

t.test(`${TOTAL} requests`, { timeout: 0 }, async (t) => {
	for (let round = 1; round <= ROUNDS; round++) {
		await t.test(`declaration ${round} of ${ROUNDS}`, { timeout: 0 }, async (t) => {
			const { mismatches } = await runSecure(t, { seed: 1_000 + round, services: 40, requests: EACH });
			t.same(mismatches.slice(0, 10), []);
		});
	}
});
