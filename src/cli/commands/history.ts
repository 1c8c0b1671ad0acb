/** `weir history` and `weir rollback`: changes of the declaration, and back to an earlier one. */
import { WeirError } from "../../error.js";
import { type ApiArguments, clientOf } from "./apiAccess.js";
import { ofAll } from "./ofAll.js";
import { oneLine } from "./oneLine.js";
import { printChanges } from "./operate.js";

const print = (line: string): void => void process.stdout.write(`${line}\n`);

interface HistoryArguments extends ApiArguments {
	readonly namespace?: string;
}

export async function history(options: HistoryArguments & { readonly json?: boolean }): Promise<void> {
	const { changes, keptFrom, partial } = await clientOf(options).history(options.namespace ?? null);
	if (options.json) return print(JSON.stringify(changes, null, 2));
	for (const { revision, atMs, by, rolledBackTo, changes: what } of changes) {
		const how = rolledBackTo === null ? "" : ` (rolled back to ${rolledBackTo})`;
		const effects = what.map(({ change, kind, name }) => `${change} ${kind} ${name}`).join(", ");
		print(oneLine(`${String(revision).padStart(8)}  ${new Date(atMs).toISOString()}  by ${by}  ${effects}${how}`));
	}
	if (changes.length === 0) print(`no changes are kept${ofAll(partial)}`);
	if (keptFrom > 0) print(`older changes were dropped: the oldest that a rollback can go back to is ${keptFrom}`);
}

/** Exit code 1 if the old documents are refused now: nothing is changed then. */
export async function rollback(
	options: HistoryArguments & { readonly to: string; readonly dryRun?: boolean },
): Promise<void> {
	if (!/^\d{1,15}$/.test(options.to))
		throw new WeirError("invalid-argument", `--to ${options.to} is no revision`, "see weir history");
	const dryRun = options.dryRun ?? false;
	printChanges(await clientOf(options).rollback(Number(options.to), options.namespace ?? null, { dryRun }), dryRun);
}
