/** The frozen vectors of golden.json, made by an independent XXH64 in Python. */
import { readFileSync } from "node:fs";
import t from "tap";
import { compileAssignment } from "../../../src/compile/assignment/assign.js";
import { layerSeed } from "../../../src/compile/assignment/experimentTable.js";
import { hasher } from "../../../src/compile/assignment/hash.js";
import { tableOf } from "./experiments.js";

interface Golden {
	readonly layerSeeds: Readonly<Record<string, string>>;
	readonly hashes: readonly { readonly text: string; readonly seed: string; readonly xxh64: string }[];
	readonly units: readonly string[];
	readonly cases: readonly {
		readonly layerSeed: string;
		readonly slotPpm: readonly [number, number];
		readonly salt: string;
		readonly weights: readonly number[];
		readonly allocationPpm: number;
		readonly arms: readonly (string | null)[];
	}[];
}

const file = new URL("../../../../test/fixtures/assignment/golden.json", import.meta.url);
const golden: Golden = JSON.parse(readFileSync(file, "utf8"));

t.test("XXH64 agrees with the published vectors", async (t) => {
	for (const { text, seed, xxh64 } of golden.hashes) {
		t.equal(hasher.hash(text, BigInt(seed)).toString(16).padStart(16, "0"), xxh64, JSON.stringify(text));
		t.equal(hasher.hashBytes(Buffer.from(text), BigInt(seed)), hasher.hash(text, BigInt(seed)));
	}
});

t.test("default layer seeds agree with the frozen vectors", async (t) => {
	for (const [name, seed] of Object.entries(golden.layerSeeds)) t.equal(layerSeed(name, null), seed);
});

t.test("every unit of every case has its frozen arm", async (t) => {
	let vectors = 0;
	for (const { layerSeed, slotPpm, salt, weights, allocationPpm, arms } of golden.cases) {
		const assignment = compileAssignment(tableOf({ layerSeed, slotPpm, salt, weights, allocationPpm }));
		const wrong = golden.units.filter((unit, index) => assignment.arm(unit) !== arms[index]);
		t.same(wrong, [], `${weights} at ${allocationPpm} ppm of ${slotPpm}`);
		for (const unit of golden.units) {
			const location = assignment.locate(unit);
			if (assignment.arm(unit) !== (location?.live ? location.region : null)) t.fail(`locate differs for ${unit}`);
		}
		vectors += arms.length;
	}
	t.ok(vectors > 8_000, `${vectors} vectors`);
});
