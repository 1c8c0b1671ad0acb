/** An expected time is shown only if it is known to a factor of 1.5. */
import t from "tap";
import { expectedUnitsMs } from "../../../src/decide/rollout/expectation.js";
import { evidence, input } from "./example.js";

/** An input with this number of units in each arm after 60 s. */
const came = (units: number, exposures?: []) =>
	input({ evidence: evidence({ control: { n: units }, boosted: { n: units } }, exposures && { exposures }) });

t.test("the expected time follows the pace of arrivals", async (t) => {
	t.equal(expectedUnitsMs(came(120), ["control"], 100), 50_000);
	t.equal(expectedUnitsMs(came(120), ["control", "boosted"], 100), 25_000);
	t.equal(expectedUnitsMs(came(1_200), ["control"], 100, 0.1), 50_000, "a tenth of them counts");
	t.equal(expectedUnitsMs(came(120, []), ["control"], 100), 83_334, "in 100 s, before a plan was live for long");
});

t.test("the expected time is left out after few arrivals, or if few are missing", async (t) => {
	t.equal(expectedUnitsMs(came(79), ["control"], 79), null, "its ends differ by a factor of 1.502");
	t.equal(expectedUnitsMs(came(80), ["control"], 80), 60_000, "here by 1.4997");
	t.equal(expectedUnitsMs(came(39), ["control"], 1e6), null);
	t.equal(expectedUnitsMs(came(1e6), ["control"], 39), null);
	t.equal(expectedUnitsMs(came(1_200), ["control"], 100, 0.05), null, "only counted units matter");
	t.equal(expectedUnitsMs(came(0), ["control"], 100), null);
});
