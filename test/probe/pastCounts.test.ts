/** What is remembered between readings: only where nothing changed is a Service's cluster compared with its routes. */
import t from "tap";
import type { Counters } from "../../src/access/bypass/counters.js";
import type { WatchedListener } from "../../src/access/bypass/watched.js";
import { PastCounts } from "../../src/probe/pastCounts.js";
import type { Reading } from "../../src/probe/reading.js";

const watched = (...gateways: readonly string[]): readonly WatchedListener[] =>
	gateways.map((gateway) => ({
		gateway,
		services: [{ name: "a", host: "a.test", judgedBy: "envoy", wild: false }],
	}));

interface Step {
	/** Tries of the cluster, and of the route by the Gateway `edge`. */
	readonly sent: number;
	readonly routed: number;
	readonly active?: number;
	readonly reloads?: number;
	readonly startedMs?: number;
	/** Another Gateway is there. */
	readonly other?: true;
	readonly watched?: readonly WatchedListener[];
	readonly unsettled?: true;
	readonly unread?: true;
}

function readingOf({ sent, routed, active = 0, reloads = 0, startedMs = 0, other }: Step): Reading {
	const all: Counters = new Map([
		["http.gateway.edge.downstream_rq_active", active],
		["http.gateway.edge.rds.weir/edge.config_reload", reloads],
		...(other === undefined ? [] : [["http.gateway.other.downstream_rq_active", 0] as const]),
	]);
	const tries: Counters = new Map([
		["cluster.a/v1.upstream_rq_total", sent],
		["vhost.a.route.edge.upstream_rq_total", routed],
	]);
	return { first: all, last: all, passed: { first: tries, last: tries }, process: { startedMs, epoch: 0 } };
}

/** How many tries each reading says were past the Gateways. */
function told(...steps: readonly Step[]): readonly number[] {
	let settled = true;
	const counts = new PastCounts(() => settled);
	let before: Reading | null = null;
	return steps.map((step) => {
		settled = step.unsettled !== true;
		const after = step.unread ? null : readingOf(step);
		const alarms = counts.alarms(step.watched ?? watched("edge"), before, after);
		before = after;
		return alarms.reduce((sum, { served }) => sum + served, 0);
	});
}

t.test("what its routes did not send is told, until it is served by those alone", async (t) => {
	t.same(
		told(
			{ sent: 7, routed: 2 },
			{ sent: 10, routed: 5 },
			{ sent: 14, routed: 7 },
			{ sent: 14, routed: 7 },
			{ sent: 14, routed: 7, unread: true },
			{ sent: 14, routed: 7 },
			{ sent: 16, routed: 9 },
		),
		[0, 0, 2, 2, 2, 2, 0],
		"silence ends nothing, nor a reading that could not be made",
	);
	t.same(told({ sent: 0, routed: 0 }, { sent: 2, routed: 0 }, { sent: 3, routed: 1 }), [0, 2, 0]);
	t.same(told({ sent: 0, routed: 0 }, { sent: 2, routed: 0 }, { sent: 2, routed: 0, watched: [] }), [0, 2, 0]);
});

t.test("requests that came while the Service was open are none", async (t) => {
	t.same(
		told(
			{ sent: 0, routed: 0, reloads: 1, active: 5 },
			{ sent: 9, routed: 1, reloads: 2, active: 3 },
			{ sent: 12, routed: 2, reloads: 2, active: 3 },
			{ sent: 15, routed: 3, reloads: 2, active: 3 },
			{ sent: 17, routed: 3, reloads: 2, active: 3 },
		),
		[0, 0, 0, 0, 1],
		"nor those that are under way still, each once",
	);
	t.same(
		told(
			{ sent: 0, routed: 0 },
			{ sent: 9, routed: 0, unsettled: true },
			{ sent: 9, routed: 0 },
			{ sent: 9, routed: 0 },
			{ sent: 10, routed: 0 },
		),
		[0, 0, 0, 0, 1],
	);
	t.same(told({ sent: 0, routed: 0 }, { sent: 9, routed: 0, startedMs: 60_000 }), [0, 0], "another Envoy");
	const other = { other: true, watched: watched("edge") } as const;
	t.same(told({ sent: 0, routed: 0, ...other }, { sent: 9, routed: 0, ...other }), [0, 0], "open at another Gateway");
	const both = { other: true, watched: watched("edge", "other") } as const;
	t.same(told({ sent: 0, routed: 0, ...both }, { sent: 9, routed: 0, ...both }), [0, 9]);
});
