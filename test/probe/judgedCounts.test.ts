/** What is remembered between readings: no change of routes, and no other Envoy, is taken for a bypass. */

import { createServer } from "node:http";
import { join } from "node:path";
import t from "tap";
import type { Counters } from "../../src/access/bypass/counters.js";
import type { WatchedListener } from "../../src/access/bypass/watched.js";
import { localAdmin } from "../../src/probe/envoyPage.js";
import { JudgedCounts } from "../../src/probe/judgedCounts.js";
import { type Reading, readReading } from "../../src/probe/reading.js";
import { temporaryDirectory } from "../cli/command.js";

const NAMES: Readonly<Record<string, string>> = {
	active: "http.gateway.edge.downstream_rq_active",
	reloads: "http.gateway.edge.rds.weir/edge.config_reload",
	native: "http.gateway.edge.rbac.weir_allow_.allowed",
	asked: "http.gateway.edge.ext_authz.weir_verdict.ok",
	proved: "http.gateway.edge.rbac.weir_proof_.allowed",
	tried: "vhost.a.route.edge.upstream_rq_total",
};

const counters = (values: Readonly<Record<string, number>>): Counters =>
	new Map(Object.entries(values).map(([name, value]) => [NAMES[name] ?? name, value]));

/** One in which nothing passed meanwhile. */
const quiet = (values: Readonly<Record<string, number>>, startedMs: number | null = 0): Reading => ({
	first: counters(values),
	last: counters(values),
	passed: { first: new Map(), last: new Map() },
	process: { startedMs, epoch: 0 },
});

const judgedBy = (judge: "envoy" | "sidecar"): readonly WatchedListener[] => [
	{ gateway: "edge", services: [{ name: "a", host: "a.test", judgedBy: judge, wild: false }] },
];

/** How many requests each reading says were unjudged, with who judges then. */
async function told(steps: readonly (readonly ["envoy" | "sidecar", Reading | null])[], isSettled = () => true) {
	const counts = new JudgedCounts(isSettled);
	let before: Reading | null = null;
	const numbers: number[] = [];
	for (const [judge, after] of steps) {
		const alarms = await counts.alarms(judgedBy(judge), before, after);
		before = after;
		numbers.push(alarms.reduce((sum, { served }) => sum + served, 0));
	}
	return numbers;
}

t.test("who was judged by the judge before is none, nor who is under way in the change", async (t) => {
	const asked = (number: number) => ({ asked: number, proved: number });
	const moves = [
		["envoy", quiet({ reloads: 1, native: 5, tried: 5 })],
		["sidecar", quiet({ reloads: 2, native: 8, ...asked(2), tried: 10, active: 2 })],
		["sidecar", quiet({ reloads: 2, native: 10, ...asked(5), tried: 15, active: 0 })],
		["sidecar", quiet({ reloads: 2, native: 10, ...asked(6), tried: 16 })],
	] as const;
	t.same(await told(moves), [0, 0, 0, 0]);
	t.same(
		await told([...moves, ["sidecar", quiet({ reloads: 2, native: 10, ...asked(6), tried: 18 })]]),
		[0, 0, 0, 0, 2],
	);
	t.same(
		await told([
			["envoy", quiet({ reloads: 1 })],
			["sidecar", quiet({ reloads: 2, native: 3, tried: 3 })],
			["sidecar", quiet({ reloads: 2, native: 5, tried: 5 })],
			["sidecar", quiet({ reloads: 2, native: 7, tried: 7 })],
		]),
		[0, 0, 0, 2],
		"a worker that takes routes a moment later",
	);
	const unsaid = moves.map(([judge, { first, last, ...rest }]) => {
		const without = (all: Counters) => new Map([...all].filter(([name]) => name !== NAMES.reloads));
		return [judge, { ...rest, first: without(first), last: without(last) }] as const;
	});
	t.strictNotSame(await told(unsaid), [0, 0, 0, 0], "where Envoy does not say it");
	t.same(await told(unsaid, () => false), [0, 0, 0, 0], "it is known otherwise");
	t.same(
		await told([
			["envoy", quiet({ reloads: 1 })],
			["envoy", quiet({ reloads: 3, native: 3, ...asked(2), tried: 5 })],
		]),
		[0, 0],
		"there and back",
	);
	t.same(
		await told([
			["envoy", quiet({ reloads: 1 })],
			["envoy", quiet({ reloads: 3, native: 3, ...asked(2), tried: 6 })],
		]),
		[0, 1],
		"and all together are compared still",
	);
});

t.test("what passes while counters are read is none", async (t) => {
	const busy = (before: number, tried: number, after: number): Reading => ({
		first: counters({ native: before, tried }),
		last: counters({ native: after, tried }),
		passed: { first: new Map(), last: new Map() },
		process: { startedMs: 0, epoch: 0 },
	});
	t.same(await told([0, 1, 2].map((at) => ["envoy", busy(10 * at, 10 * at + 5, 10 * at + 9)])), [0, 0, 0]);
	t.same(
		await told([
			["envoy", busy(0, 5, 9)],
			["envoy", busy(10, 20, 19)],
		]),
		[0, 0],
		"what came then counts for either side",
	);
	t.same(
		await told([
			["envoy", busy(0, 5, 9)],
			["envoy", busy(10, 25, 19)],
		]),
		[0, 1],
	);
});

t.test("an Envoy that was started anew has counted anew", async (t) => {
	const before = quiet({ native: 10, tried: 2 });
	const now = { native: 12, tried: 12 };
	t.same(
		await told([
			["envoy", before],
			["envoy", quiet(now, 60_000)],
		]),
		[0, 0],
	);
	t.same(
		await told([
			["envoy", before],
			["envoy", quiet(now, 900)],
		]),
		[0, 8],
		"the same one",
	);
	t.same(
		await told([
			["envoy", before],
			["envoy", quiet({ ...now, tried: 13 }, 60_000)],
		]),
		[0, 1],
		"all of the new one is compared",
	);
});

t.test("of another process nothing is owed, and whoever judges it counts", async (t) => {
	const before = quiet({ native: 9, tried: 5, active: 4 });
	t.same(
		await told([
			["envoy", quiet({})],
			["envoy", before],
			["envoy", quiet({ native: 9, tried: 9 })],
		]),
		[0, 0, 0],
		"four of the same one are owed their tries",
	);
	t.same(
		await told([
			["envoy", quiet({})],
			["envoy", before],
			["envoy", quiet({ native: 10, tried: 12, active: 4 }, 60_000)],
		]),
		[0, 0, 2],
		"none of the new one",
	);
	// Its first routes had the sidecar judge.
	const judged = { asked: 3, proved: 3, native: 4, tried: 7 };
	t.same(
		await told([
			["envoy", quiet({})],
			["envoy", quiet(judged, 60_000)],
		]),
		[0, 0],
	);
	t.same(
		await told([
			["envoy", quiet({})],
			["envoy", quiet(judged)],
		]),
		[0, 3],
		"routes of the same one have not changed",
	);
});

t.test("a Gateway that was not watched at the reading before is compared with all its judges together", async (t) => {
	const tried = { asked: 3, proved: 3, native: 4, tried: 7 };
	const counts = new JudgedCounts(() => true);
	t.same(await counts.alarms([], null, quiet({})), []);
	t.same(await counts.alarms(judgedBy("envoy"), quiet({}), quiet(tried)), [], "who judged before nobody knows");
	const more = { ...tried, asked: 5, proved: 5, tried: 9 };
	t.match(
		await counts.alarms(judgedBy("envoy"), quiet(tried), quiet(more)),
		[{ served: 2 }],
		"from then on it is known",
	);
	const others = new JudgedCounts(() => true);
	await others.alarms([], null, quiet({}));
	t.match(await others.alarms(judgedBy("envoy"), quiet({}), quiet({ ...tried, tried: 8 })), [{ served: 1 }]);
});

t.test("what stands, stands where nothing can be read", async (t) => {
	const served = [
		["envoy", quiet({})],
		["envoy", quiet({ tried: 3 })],
	] as const;
	t.same(await told([...served, ["envoy", null], ["envoy", quiet({ tried: 3 })]]), [0, 3, 3, 3]);
});

t.test("verdicts are read before tries and after them; of two processes nothing is read", async (t) => {
	const socket = join(await temporaryDirectory(t), "admin.sock");
	const asked: string[] = [];
	let fallsAt = Infinity;
	const server = createServer(({ url = "" }, response) => {
		if (url === "/server_info")
			return void response.end('{"uptime_current_epoch": "100s", "command_line_options": {"restart_epoch": 2}}');
		const isVerdicts = url.includes("weir_");
		asked.push(isVerdicts ? "verdicts" : "tries");
		const value = asked.length >= fallsAt ? 1 : 10 + asked.length;
		response.end(`${isVerdicts ? NAMES.native : NAMES.tried}: ${value}\n`);
	}).listen(socket);
	t.teardown(() => server.close());
	const reading = await readReading(localAdmin(socket));
	t.same(asked, ["verdicts", "tries", "verdicts"]);
	t.same(reading?.first, counters({ native: 11, tried: 12 }));
	t.same(reading?.last, counters({ native: 13, tried: 12 }));
	t.ok(Math.abs((reading?.process.startedMs ?? 0) - (Date.now() - 100_000)) < 5_000);
	t.equal(reading?.process.epoch, 2);
	fallsAt = 6;
	t.equal(await readReading(localAdmin(socket)), null);
});

t.test(
	"routes that were on their way while nothing could be read are taken for changed at the next reading",
	async (t) => {
		let settled = true;
		const counts = new JudgedCounts(() => settled);
		const first = quiet({ reloads: 1, native: 5, tried: 5 });
		await counts.alarms(judgedBy("envoy"), null, first);
		settled = false;
		await counts.alarms(judgedBy("sidecar"), first, null);
		settled = true;
		// Of those that Envoy judged still.
		const next = quiet({ reloads: 1, native: 8, tried: 8 });
		t.same(await counts.alarms(judgedBy("sidecar"), first, next), []);
	},
);
