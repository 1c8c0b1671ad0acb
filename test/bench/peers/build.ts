/** `npm run bench:peers`: builds the peers into the cache, Go programs and gbstats, and prints where they are. */
import { WeirError } from "../../../src/error.js";
import { peerBinaries } from "./binaries.js";
import { buildPythonPeer } from "./pythonPeer.js";

const notice = (line: string): boolean => process.stderr.write(`${line}\n`);

/** A failed build does not prevent the others. */
async function attempt(build: () => Promise<readonly string[]>): Promise<void> {
	try {
		for (const path of await build()) process.stdout.write(`${path}\n`);
	} catch (error) {
		if (!(error instanceof WeirError)) throw error;
		process.stderr.write(`${error.message}; ${error.hint}\n`);
		process.exitCode = 1;
	}
}

await attempt(async () => {
	const { noop, opa, load } = await peerBinaries(notice);
	return [noop, opa, load];
});
await attempt(async () => [await buildPythonPeer(notice)]);
