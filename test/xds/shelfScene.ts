/** Sent views in a folder of their own, what is told of it, and a disk that refuses a file. */
import { EventEmitter } from "node:events";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { RecentViewsBounds } from "../../src/xds/sentViews.js";
import type { Snapshot } from "../../src/xds/snapshot.js";
import { ViewShelf } from "../../src/xds/viewShelf.js";
import { temporaryDirectory } from "../cli/command.js";
import { metadata } from "../fixtures/resources.js";
import { A, AMPLE, snapshot } from "./script.js";

type Test = Parameters<typeof temporaryDirectory>[0];

export async function shelfIn(t: Test, bounds: RecentViewsBounds = AMPLE) {
	const directory = join(await temporaryDirectory(t), "sent-views");
	const troubles: string[] = [];
	const well = new EventEmitter();
	const open = async (other = bounds) => {
		const shelf = await ViewShelf.open(directory, {
			bounds: other,
			onTrouble: (why) => void troubles.push(why),
			onWell: () => void well.emit("told"),
		});
		t.teardown(() => shelf.close());
		return shelf;
	};
	return { directory, troubles, well, open, files: async () => (await readdir(directory)).sort() };
}

/** Of nine Services that differ in an endpoint. */
export const many: readonly Snapshot[] = Array.from({ length: 9 }, (_, at) =>
	snapshot({ a: { ...A, variants: { v1: 1_000 + at, v2: 1 } } }),
);

/** A disk that takes none of a file. */
export async function refusing(file: string, meanwhile: () => Promise<void>): Promise<void> {
	await mkdir(`${file}.new`);
	await meanwhile();
	await rm(`${file}.new`, { recursive: true });
}

export const boundBy = (dataClass: string | null) =>
	new Map([["model", { kind: "Service" as const, metadata: metadata("model"), spec: { dataClass } }]]);
