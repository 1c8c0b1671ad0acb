/** xds keeps on the disk what the built-in probe knows, and says where it cannot be read. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { startApiRole } from "../../src/cli/roles/api.js";
import { startXdsRole } from "../../src/cli/roles/xds.js";
import { places } from "../../src/cli/stack/places.js";
import { readMemory } from "../../src/probe/memory.js";
import { temporaryDirectory } from "./command.js";
import { alarmsOf, scene } from "./probeScene.js";
import { roleContext } from "./roleContext.js";

t.setTimeout(120_000);

t.test("it is written with each round", async (t) => {
	const { at, client, probed } = await scene(t);
	t.equal(await probed(({ answers }) => answers.length > 0), "edge guarded forbidden");
	t.same(await alarmsOf(client), []);
	const read = async () => (await readMemory(await readFile(at.probeMemoryFile))).reading;
	let reading = await read().catch(() => null);
	for (let tries = 0; reading === null && tries < 200; tries++) {
		await new Promise((resolve) => setTimeout(resolve, 25));
		reading = await read().catch(() => null);
	}
	t.equal(reading?.process.epoch, 0);
	t.ok([...(reading?.first.keys() ?? [])].includes("http.gateway.edge.downstream_rq_active"));
});

t.test("one that was lost is an alarm until a person has looked", async (t) => {
	const { at, client, probed, lines } = await scene(t, (at) => writeFile(at.probeMemoryFile, "torn"));
	t.equal(await probed(({ forgotten }) => forgotten.length === 1), "edge guarded forbidden");
	t.same(await alarmsOf(client), [" probe-memory-lost"]);
	t.equal(lines.join("").match(/what the built-in probe knew is lost/g)?.length, 1, "the log says it once");
	await rm(`${at.probeMemoryFile}.lost`);
	await probed(({ forgotten }) => forgotten.length === 0);
	t.same(await alarmsOf(client), []);
});

t.test("one that is none is told of", async (t) => {
	const at = places(join(await temporaryDirectory(t), "data"));
	await writeFile(at.probeMemoryFile, "weir probe memory 1\n{}\n");
	const api = await startApiRole(roleContext(at, "api"));
	t.teardown(() => api.close());
	const lines: string[] = [];
	const xds = await startXdsRole(roleContext(at, "xds", lines));
	t.teardown(() => xds.close());
	t.match(lines.join(""), /what the built-in probe knows cannot be written or read on disk.*it has another shape/);
});
