/** What was sent outlives the process that sent it. */
import { stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import { XDS_SENT_VIEWS_MIN } from "../../src/limits.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { ENVOY_TYPES, type EncodedResource } from "../../src/xds/resource.js";
import { RecentViews, type RecentViewsBounds } from "../../src/xds/sentViews.js";
import { type Snapshot, SnapshotMaker } from "../../src/xds/snapshot.js";
import { experiment, gateway, layer, resourceSet, service, variant } from "../fixtures/resources.js";
import { issuerOf } from "../tokens/issuer.js";
import { HEALTH } from "./healthCheck.js";
import { A, AMPLE, comesBack, KEEPS_CLUSTERS, Script, snapshot } from "./script.js";
import { many, shelfIn } from "./shelfScene.js";

/** Their order says nothing. */
const byName = (parts: EncodedResource["parts"]) => [...parts].sort((a, b) => (a.name < b.name ? -1 : 1));

t.test("what is found is what was sent, with all that it refers to", async (t) => {
	const { open, files } = await shelfIn(t);
	const set = resourceSet({
		gateways: [gateway({ tokens: [issuerOf()] })],
		services: [
			service("model", [variant("v1", 1, 2), variant("v2", 4)], { healthCheck: HEALTH }),
			service("other", [variant("v1", 3)]),
		],
		layers: [layer("models", null)],
		experiments: [experiment("trial", "model", [1, 1], { unit: { from: "claim", claim: "sub" } })],
	});
	const { views, versions } = new SnapshotMaker().make(compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS }), 1);
	const shelf = await open();
	for (const type of ENVOY_TYPES) shelf.keep(type, versions[type], views[type]);
	t.equal(shelf.find("routes", versions.routes), views.routes, "before it is written too");
	await shelf.close();
	const again = await open();
	for (const type of ENVOY_TYPES) {
		const found = again.find(type, versions[type]);
		t.ok(found !== null && found.size > 0);
		for (const [name, resource] of found ?? []) {
			const { bytes, parts, ...rest } = resource;
			const { bytes: sent, parts: sentParts, ...same } = views[type].get(name) ?? resource;
			t.same(rest, same);
			t.same(byName(parts), byName(sentParts));
			t.ok(Buffer.from(sent).equals(bytes));
		}
		t.equal(found?.size, views[type].size);
	}
	t.same(await files(), ENVOY_TYPES.map((type) => `${type}-${versions[type]}.${views[type].size}.pb`).sort());
	t.equal(again.find("routes", versions.clusters), null);
});

t.test("the youngest and those in use stay, as many as there is room for", async (t) => {
	const { open, files } = await shelfIn(t);
	const names = (...at: readonly number[]) => at.map((one) => `endpoints-${many[one]?.versions.endpoints}.2.pb`).sort();
	const kept = async (bounds: RecentViewsBounds) => {
		const shelf = await open(bounds);
		for (const { versions, views } of many) {
			shelf.keep("endpoints", versions.endpoints, views.endpoints);
			await shelf.close();
			shelf.touch("endpoints", many[0]?.versions.endpoints ?? "");
		}
		return files();
	};
	t.same(await kept({ ...AMPLE, views: 3 }), names(0, 7, 8));
	t.same(await kept({ ...AMPLE, bytes: 0, least: 2 }), names(0, 8), "however large they are");
	const shelf = await open();
	const [first, second] = many;
	const larger = new Map([...(first?.views.endpoints ?? []), ...(second?.views.endpoints ?? [])]);
	shelf.keep("endpoints", first?.versions.endpoints ?? "", larger);
	await shelf.close();
	await open({ ...AMPLE, views: 1 });
	t.same(await files(), names(0), "the next process has its own bounds, and takes the youngest file");
	t.equal((await open()).find("endpoints", first?.versions.endpoints ?? "")?.size, larger.size, "the larger view");
});

t.test("what nobody can read is unknown, and told once", async (t) => {
	const { directory, open, troubles, files } = await shelfIn(t);
	const [{ versions, views }] = many as [Snapshot];
	const shelf = await open();
	shelf.keep("endpoints", versions.endpoints, views.endpoints);
	await shelf.close();
	const [file = ""] = await files();
	await truncate(join(directory, file), (await stat(join(directory, file))).size - 1);
	await writeFile(join(directory, "endpoints-0123456789abcdef.2.pb.new"), "cut off");
	await writeFile(join(directory, "clusters-0123456789abcdef.1.pb"), "");
	const again = await open();
	t.same(await files(), ["clusters-0123456789abcdef.1.pb", file], "half a file of a crash goes");
	t.equal(again.find("endpoints", versions.endpoints), null);
	t.equal(again.find("clusters", "0123456789abcdef"), null, "it is empty");
	t.equal(again.find("endpoints", `../sent-views/endpoints-${versions.endpoints}`), null, "no path");
	t.equal(troubles.length, 1);
	t.equal((await stat(join(directory, file))).mode & 0o777, 0o600);
	t.equal((await stat(directory)).mode & 0o777, 0o700);
});

t.test("a client that comes back to another process keeps the clusters that its routes need", async (t) => {
	const { open } = await shelfIn(t);
	const first = await open();
	const before = snapshot({ a: A });
	new Script(before, new RecentViews(AMPLE, first)).start();
	await first.close();
	t.same(comesBack(before, new RecentViews(AMPLE, await open())), KEEPS_CLUSTERS);
});

t.test("what clients have stays remembered while others get new versions again and again", async (t) => {
	const views = new RecentViews({ ...AMPLE, views: 6 });
	const [first, ...newer] = many as [Snapshot, ...Snapshot[]];
	const still = new Script(first, views);
	still.start();
	const other = new Script(first, views);
	other.start();
	for (const one of newer) {
		other.agree(other.publish(one));
		still.pump();
	}
	for (const type of ENVOY_TYPES) {
		if (first.views[type].size > 0) t.not(views.recall(type, first.versions[type]), null, type);
	}
});

t.test("after a restart too a client that has not asked for all yet takes nothing from those that have", async (t) => {
	const { open } = await shelfIn(t);
	const first = await open();
	const { views, versions } = snapshot({ a: A });
	new RecentViews(AMPLE, first).remember("endpoints", versions.endpoints, views.endpoints);
	await first.close();
	const second = await open();
	new RecentViews(AMPLE, second).remember("endpoints", versions.endpoints, new Map([...views.endpoints].slice(0, 1)));
	await second.close();
	t.equal((await open()).find("endpoints", versions.endpoints)?.size, 2);
});

t.test("what the disk was too slow for, or lost, is kept when it is sent again", async (t) => {
	const { open, files, directory } = await shelfIn(t);
	const views = Array.from({ length: 30 }, (_, at) => snapshot({ a: { ...A, variants: { v1: 2_000 + at, v2: 1 } } }));
	const shelf = await open();
	const recent = new RecentViews(AMPLE, shelf);
	for (let round = 0; round < 2; round++) {
		for (const one of views) recent.remember("endpoints", one.versions.endpoints, one.views.endpoints);
		await shelf.close();
		t.equal((await files()).length, round === 0 ? XDS_SENT_VIEWS_MIN : views.length, "no more than these wait");
	}
	const [{ versions, views: of }] = views as [Snapshot];
	await truncate(join(directory, `endpoints-${versions.endpoints}.2.pb`), 5);
	const again = await open();
	const anew = new RecentViews(AMPLE, again);
	t.equal(anew.recall("endpoints", versions.endpoints), null);
	anew.remember("endpoints", versions.endpoints, of.endpoints);
	t.not(anew.recall("endpoints", versions.endpoints), null);
	await again.close();
	t.not((await open()).find("endpoints", versions.endpoints), null);
});
