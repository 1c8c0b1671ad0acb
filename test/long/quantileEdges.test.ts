/** The same as test/decide/rollout/quantileEdges.test.ts by so many experiments that a point and a half above alpha shows. */
import t from "tap";
import { EDGES, endsIn } from "../decide/rollout/simulateLatency.js";

const RUNS = 1_000;
/** 99 % upper limit of Binomial(1000, 0.05). */
const LIMIT = 67;

t.setTimeout(3_600_000);

for (const world of EDGES)
	t.test(world.name, async (t) => {
		const ends = endsIn(world, RUNS);
		t.comment(`of ${RUNS}: ${JSON.stringify(ends)}`);
		t.ok(ends[world.wrong] <= LIMIT);
	});
