/** Parity of access rules at length. WEIR_SECURE_PARITY: requests in all, one million by default. */
import t from "tap";
import { runSecure, SECURE_FORMS } from "../parity/secure/run.js";

const HOUR_MS = 3_600_000;
t.setTimeout(HOUR_MS);

const TOTAL = Number(process.env.WEIR_SECURE_PARITY ?? 1_000_000);
const EACH = 20_000;
const ROUNDS = Math.ceil(TOTAL / (EACH * Object.keys(SECURE_FORMS).length));

t.test(`${TOTAL} requests`, { timeout: HOUR_MS }, async (t) => {
	for (let round = 1; round <= ROUNDS; round++) {
		await t.test(`declaration ${round} of ${ROUNDS}`, { timeout: HOUR_MS }, async (t) => {
			const { mismatches } = await runSecure(t, { seed: 1_000 + round, services: 40, requests: EACH });
			t.same(mismatches.slice(0, 10), []);
		});
	}
});
