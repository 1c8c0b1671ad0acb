/** `npm run bench:peers`: builds the Go peers into the cache and prints where they are. */
import { WeirError } from "../../../src/error.js";
import { peerBinaries } from "./binaries.js";

try {
	const { noop, opa, load } = await peerBinaries((line) => process.stderr.write(`${line}\n`));
	for (const path of [noop, opa, load]) process.stdout.write(`${path}\n`);
} catch (error) {
	if (!(error instanceof WeirError)) throw error;
	process.stderr.write(`${error.message}; ${error.hint}\n`);
	process.exitCode = 1;
}
