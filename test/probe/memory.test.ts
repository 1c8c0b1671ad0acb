/** What an xds that starts anew knows of the rounds before it, and what it makes of a file that is none of its own. */

import { readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { alarmLines } from "../../src/cli/commands/alarms.js";
import { watchForBypass } from "../../src/cli/roles/probe.js";
import { localReach } from "../../src/cli/stack/localReach.js";
import { type ProbeMemory, readMemory, writeMemory } from "../../src/probe/memory.js";
import { MemoryShelf } from "../../src/probe/memoryShelf.js";
import type { Prober } from "../../src/probe/prober.js";
import { createLog } from "../../src/telemetry/log.js";
import { createMeter } from "../../src/telemetry/meter.js";
import { temporaryDirectory } from "../cli/command.js";
import { ACTIVE, countedAdmin, JUDGED, ROUTED, SENT } from "./countedAdmin.js";
import { asking } from "./probed.js";

async function shelfOf(t: Test) {
	const file = join(await temporaryDirectory(t), "probe-memory");
	const troubles: string[] = [];
	return { file, troubles, shelf: () => new MemoryShelf(file, (why) => troubles.push(why)) };
}

/** A prober, ended after its rounds, and the next one. */
async function scene(t: Test) {
	const { said, prober } = await countedAdmin(t);
	const { file, troubles, shelf } = await shelfOf(t);
	let own: Prober = prober();
	const told = async () => {
		const { alarms, counted } = await own.round();
		const kept = shelf();
		kept.keep(own.memory);
		await kept.close();
		const texts = alarms.map((one) => ("served" in one ? `${one.alarm} ${one.served}` : one.alarm));
		return counted ? texts : ["not compared", ...texts];
	};
	const restart = async () => {
		own = prober();
		const known = await shelf().recall();
		if (known !== null) own.recall(known);
	};
	return { said, file, troubles, told, restart, lose: () => rm(file) };
}

t.test("alarms stand through a restart, and what was served meanwhile is told", async (t) => {
	const { said, told, restart, lose, troubles } = await scene(t);
	said.counters = { [ACTIVE]: 0, [JUDGED]: 1, [ROUTED]: 1, [SENT]: 1 };
	t.same(await told(), ["not compared"]);
	said.counters = { [ACTIVE]: 0, [JUDGED]: 1, [ROUTED]: 4, [SENT]: 6 };
	const alarms = ["served-unjudged 3", "served-past-gateways 2"];
	t.same(await told(), alarms);
	await restart();
	t.same(await told(), alarms, "in silence");
	await restart();
	said.counters = { [ACTIVE]: 0, [JUDGED]: 2, [ROUTED]: 6, [SENT]: 9 };
	t.same(await told(), ["served-unjudged 1", "served-past-gateways 1"], "served while nobody looked");
	await restart();
	said.counters = { [ACTIVE]: 0, [JUDGED]: 3, [ROUTED]: 7, [SENT]: 10 };
	t.same(await told(), [], "and judged ones end them");
	await lose();
	await restart();
	said.counters = { [ACTIVE]: 0, [JUDGED]: 3, [ROUTED]: 9, [SENT]: 12 };
	t.same(await told(), ["not compared"], "without it all begins anew");
	t.same(troubles, [], "which is the first start of all");
});

t.test("what was owed is owed to the next one, and no more", async (t) => {
	const { said, told, restart } = await scene(t);
	said.counters = { [ACTIVE]: 0 };
	await told();
	said.counters = { [ACTIVE]: 2, [JUDGED]: 5, [ROUTED]: 3, [SENT]: 3 };
	t.same(await told(), []);
	await restart();
	said.counters = { [ACTIVE]: 0, [JUDGED]: 5, [ROUTED]: 5, [SENT]: 5 };
	t.same(await told(), [], "two waited for their connection");
	await restart();
	said.counters = { [ACTIVE]: 0, [JUDGED]: 5, [ROUTED]: 6, [SENT]: 6 };
	t.same(await told(), ["served-unjudged 1"]);
});

for (const [what, change] of [
	["was started anew", { uptime: 10 }],
	["took over from its process (hot restart)", { epoch: 1 }],
] as const)
	t.test(`of an Envoy that ${what} meanwhile all that it counted is compared`, async (t) => {
		const { said, told, restart } = await scene(t);
		said.counters = { [ACTIVE]: 0 };
		await told();
		said.counters = { [ACTIVE]: 3, [JUDGED]: 90, [ROUTED]: 81, [SENT]: 81 };
		t.same(await told(), []);
		await restart();
		// More than the one before it had counted, and nothing of what that one owed.
		Object.assign(said, change);
		said.counters = { [ACTIVE]: 9, [JUDGED]: 100, [ROUTED]: 104, [SENT]: 200 };
		t.same(await told(), ["served-unjudged 4"], "but for clusters, which began with no routes");
		said.counters = { [ACTIVE]: 9, [JUDGED]: 100, [ROUTED]: 104, [SENT]: 200 };
		t.same(await told(), ["served-unjudged 4"]);
	});

t.test("a torn file, a changed one and a foreign one are told of, and all begins anew", async (t) => {
	const { said, told, restart, file, troubles } = await scene(t);
	said.counters = { [ACTIVE]: 0 };
	await told();
	said.counters = { [ACTIVE]: 0, [ROUTED]: 4, [SENT]: 6 };
	t.same(await told(), ["served-unjudged 4", "served-past-gateways 2"]);
	const whole = await readFile(file);
	const facts = whole.indexOf("\n") + 1;
	const refused = async (bytes: Buffer): Promise<string> =>
		readMemory(bytes).then(
			() => "",
			(error: Error) => error.message,
		);
	t.equal(await refused(whole), "");
	for (let length = 0; length < whole.length; length++)
		if ((await refused(whole.subarray(0, length))) === "") t.fail(`cut off after ${length} bytes`);
	for (let at = 0; at < whole.length; at++) {
		const changed = Buffer.from(whole);
		changed[at] = (changed[at] ?? 0) ^ 1;
		if ((await refused(changed)) === "") t.fail(`changed at ${at}`);
	}
	t.equal(await refused(Buffer.concat([whole, whole])), "it was changed");
	t.equal(await refused(Buffer.from("weir probe memory 2\n")), "it is another version's, or none");
	t.equal(facts, "weir probe memory 1\n".length);

	await writeFile(file, whole.subarray(0, whole.length - 3));
	await restart();
	t.same(troubles.splice(0), ["it is cut off"]);
	t.same(await told(), ["not compared"]);
	await restart();
	said.counters = { [ACTIVE]: 0, [ROUTED]: 5, [SENT]: 7 };
	t.same(await told(), ["served-unjudged 1"], "which replaced it");
	t.same(troubles, []);

	await rm(file);
	await symlink("/dev/zero", file);
	await restart();
	t.same(troubles, ["it is no file of ours"]);
});

t.test("an alarm of a probe stands until its Service is probed again", async (t) => {
	const { prober } = await countedAdmin(t);
	const passed = { alarm: "probe-passed", gateway: "edge", service: "a", status: 200 } as const;
	const own = prober({ ask: asking({ address: "127.0.0.1", port: 9, tls: null }), isCertain: () => false });
	own.recall({ ...EMPTY, raised: new Map([["edge a gate", passed]]) });
	t.same((await own.round()).kept, [passed]);
	t.same([...own.memory.raised.values()], [passed]);
});

const EMPTY: ProbeMemory = {
	reading: null,
	judged: { standing: [], owed: new Map(), changed: new Set() },
	past: { standing: [], owed: new Map(), changed: false },
	raised: new Map(),
};

t.test("whatever has another shape is refused, though its digest fits", async (t) => {
	t.same(await readMemory(await writeMemory(EMPTY)), EMPTY);
	const passed = { alarm: "probe-passed", gateway: "edge", service: "a", status: 200 } as const;
	const shapes: readonly object[] = [
		{ judged: { ...EMPTY.judged, standing: [{ alarm: "served-unjudged", gateway: "edge" }] } },
		{ judged: { ...EMPTY.judged, standing: [{ ...passed, services: [], judgedBy: "envoy", served: 1 }] } },
		{ judged: { ...EMPTY.judged, owed: new Map([["edge", { sent: { envoy: 1, sidecar: 0 } }]]) } },
		{ judged: { ...EMPTY.judged, changed: [1] } },
		{ past: { ...EMPTY.past, standing: [{ alarm: "served-past-gateways", gateway: "", service: "a", served: -1 }] } },
		{ past: { ...EMPTY.past, owed: new Map([["a", 0.5]]) } },
		{ past: { ...EMPTY.past, changed: 1 } },
		{ raised: new Map([["edge a gate", { ...passed, alarm: "served-unjudged" }]]) },
		{ raised: new Map([["edge a gate", { ...passed, status: "200" }]]) },
		{ raised: [["edge a gate"]] },
	];
	for (const shape of shapes)
		await t.rejects(
			writeMemory({ ...EMPTY, ...shape } as ProbeMemory).then(readMemory),
			{ message: "it has another shape" },
			JSON.stringify(shape),
		);
	const raised = new Map([["edge a gate", passed]]);
	t.same((await readMemory(await writeMemory({ ...EMPTY, raised }))).raised, raised);
});

t.test("others have their turn while much of it is written and read", async (t) => {
	const many = new Map(Array.from({ length: 100_000 }, (_, at) => [`vhost.a.route.edge-${at}.upstream_rq_total`, at]));
	const reading = {
		first: many,
		last: many,
		passed: { first: new Map(), last: new Map() },
		process: { startedMs: 1, epoch: 0 },
	};
	let turns = 0;
	let isOver = false;
	const turn = (): void => {
		turns++;
		if (!isOver) setImmediate(turn);
	};
	turn();
	const bytes = await writeMemory({ ...EMPTY, reading });
	t.ok(turns >= 30, `${turns} turns`);
	turns = 0;
	t.same((await readMemory(bytes)).reading?.last.size, 100_000);
	t.ok(turns >= 30, `${turns} turns`);
	isOver = true;
});

t.test("`weir status` tells what stands before the first round", async (t) => {
	const { shelf } = await shelfOf(t);
	const kept = shelf();
	const unjudged = {
		alarm: "served-unjudged",
		gateway: "edge",
		services: ["a"],
		judgedBy: "envoy",
		served: 3,
	} as const;
	const past = { alarm: "served-past-gateways", gateway: "", service: "a", served: 1 } as const;
	const passed = { alarm: "probe-passed", gateway: "other", service: "a", status: 200 } as const;
	kept.keep({
		...EMPTY,
		judged: { ...EMPTY.judged, standing: [unjudged] },
		past: { ...EMPTY.past, standing: [past] },
		raised: new Map([["other a gate", passed]]),
	});
	await kept.close();
	const meter = createMeter({ role: "xds" });
	const watch = watchForBypass({
		log: createLog({ role: "xds", write: () => {}, environment: {} }),
		meter,
		reach: localReach("/nowhere/admin.sock", null),
		connected: () => false,
		served: () => null,
		planOf: async () => null,
		memory: shelf(),
	});
	t.teardown(() => watch.close());
	t.equal(await watch.round(), null);
	const lines = alarmLines(watch.standing()).map((line) => line.split(":")[0]);
	t.same(lines, [
		"ALARM served-unjudged at Gateway edge",
		"ALARM served-past-gateways",
		"ALARM probe-passed at Gateway other",
	]);
});
