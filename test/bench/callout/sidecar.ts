/** The command line of the sidecar that is measured, as a user starts it. */
import { join } from "node:path";

/** Compiled to dist/test/bench/callout, beside dist/src. */
const WEIR = join(import.meta.dirname, "../../../src/cli/main.js");

/** @param table file with `{version, table}` of the plan, as `weir compile --format table` prints it */
export const sidecarCommand = (table: string, socket: string): readonly string[] => [
	process.execPath,
	WEIR,
	"sidecar",
	"--table",
	table,
	"--socket",
	socket,
];
