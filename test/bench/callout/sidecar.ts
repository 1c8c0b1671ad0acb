/** The sidecar that is measured, as a user starts it, and a plan of ours with it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ClientTls, type Form, type FormDeclaration, startForm } from "./form.js";

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

/**
 * Starts Envoy with a plan, and its sidecar if it calls one.
 * @param directory for its table and its socket
 * @throws Error as startForm does, and if the plan differs from the requested one
 */
export async function startPlan(
	directory: string,
	declaration: Omit<FormDeclaration, "server">,
	client: ClientTls,
): Promise<Form> {
	const { name, plan } = declaration;
	if (plan.problems.length > 0) throw new Error(plan.problems.map(({ message }) => message).join("; "));
	const file = join(directory, name);
	await writeFile(`${file}.json`, JSON.stringify({ version: plan.version, table: plan.table }));
	const server = plan.asksSidecar ? (socket: string) => sidecarCommand(`${file}.json`, socket) : null;
	return startForm({ ...declaration, server }, `${file}.sock`, client);
}
