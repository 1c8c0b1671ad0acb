/** Probes of one listener that are under way at once: of an Envoy that is far each takes its time. */
import { setImmediate as breath } from "node:timers/promises";
import t from "tap";
import type { ProbeAnswer } from "../../src/access/bypass/reach.js";
import { Prober } from "../../src/probe/prober.js";

const services = Array.from({ length: 20 }, (_, at) => ({
	name: `s${at}`,
	host: `s${at}.test`,
	judgedBy: "envoy" as const,
	wild: false,
}));

function scene(together: number | undefined, answer: (guard: string) => ProbeAnswer | null) {
	const asked: string[] = [];
	const underWay = new Set<string>();
	let most = 0;
	const prober = new Prober({
		listeners: () => [{ gateway: "edge", services }],
		ask: () => async (host, guard) => {
			asked.push(`${host} ${guard}`);
			if (underWay.has(host)) throw new Error("two at once of one Service");
			underWay.add(host);
			most = Math.max(most, underWay.size);
			await breath();
			await breath();
			underWay.delete(host);
			return answer(guard);
		},
		admin: null,
		...(together === undefined ? {} : { together }),
	});
	return { prober, asked, most: () => most };
}

const denied = (guard: string): ProbeAnswer => ({
	status: 403,
	body: `access denied: ${guard === "gate" ? "not-canonical" : "forbidden"}\n`,
});

t.test("as many as are said are under way at once, each Service's one after the other", async (t) => {
	const { prober, asked, most } = scene(4, denied);
	const { results, alarms, skipped } = await prober.round();
	t.equal(most(), 4);
	t.equal(asked.length, 40);
	t.same(
		results.map(({ service, guard }) => `${service}.test ${guard}`),
		services.flatMap(({ host }) => [`${host} gate`, `${host} rules`]),
		"told in the order of the plan",
	);
	t.same([alarms, skipped], [[], []]);
});

t.test("one is where none is said", async (t) => {
	const { prober, most } = scene(undefined, denied);
	await prober.round();
	t.equal(most(), 1);
});

t.test(
	"a listener that answers nobody, or that nothing can be sent to, is asked no more than those at once",
	async (t) => {
		const silent = scene(4, () => ({ status: null, body: "" }));
		const { results, alarms } = await silent.prober.round();
		t.ok(silent.asked.length <= 8, String(silent.asked.length));
		t.equal(results.length, silent.asked.length);
		t.match(alarms[0], { alarm: "probe-unanswered" });
		const gone = scene(4, () => null);
		const { skipped } = await gone.prober.round();
		t.ok(gone.asked.length <= 8);
		t.same(
			skipped.map(({ service, unsent }) => [service, unsent]).toSorted(),
			services.map(({ name }) => [name, true]).toSorted(),
		);
	},
);

t.test("who was not probed for the longest time is first in the next round", async (t) => {
	let quiet = true;
	const { prober, asked } = scene(4, (guard) => (quiet ? { status: null, body: "" } : denied(guard)));
	await prober.round();
	const before = new Set(asked.map((one) => one.split(" ")[0]));
	quiet = false;
	asked.length = 0;
	await prober.round();
	t.same(
		asked.slice(0, 4).filter((one) => before.has(one.split(" ")[0])),
		[],
	);
});
