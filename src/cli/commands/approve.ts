/** `weir requests | approve | reject`: what waits for a second person. */
import type { RequestAnswer, RequestsAnswer } from "../../operate/api/wire.js";
import { type ApiArguments, clientOf } from "./apiAccess.js";
import { ofAll } from "./ofAll.js";
import { oneLine } from "./oneLine.js";

const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** Without an id: all that the caller may see. With one: its exact content, to read before approving, and after. */
export async function requests(
	id: string | undefined,
	options: ApiArguments & { readonly json?: boolean },
): Promise<void> {
	const client = clientOf(options);
	const { requests: found, partial }: RequestsAnswer =
		id === undefined ? await client.requestsAnswer() : { requests: [await client.request(id)] };
	if (options.json) return print(JSON.stringify(id === undefined ? found : found[0], null, 2));
	for (const request of found) {
		printRequest(request);
		if (id !== undefined) printContent(request);
	}
	if (found.length === 0) print(`nothing waits for approval${ofAll(partial)}`);
}

export async function approve(id: string, options: ApiArguments): Promise<void> {
	const request = await clientOf(options).approve(id);
	if (request.state === "done") return print(`${id}: approved and done`);
	const where = Object.keys(request.needsIn);
	const missing = Math.max(1, request.needs - request.approvals.length);
	print(`${id}: approved; it needs ${where.length === 1 ? `${missing} more` : "those of other namespaces too"}`);
}

export async function reject(id: string, options: ApiArguments & { readonly reason?: string }): Promise<void> {
	await clientOf(options).reject(id, options.reason);
	print(`${id}: rejected`);
}

/** EX_TEMPFAIL: nothing has happened yet. */
const EXIT_PENDING = 75;

/** What the commands that ask for something print where it has to wait; exit code 75, for a script must not go on. */
export function printPending(request: RequestAnswer): void {
	process.exitCode = EXIT_PENDING;
	print(`waits for approval by ${request.needs} other${request.needs === 1 ? "" : "s"}: weir approve ${request.id}`);
	printRequest(request);
}

function printRequest(request: RequestAnswer): void {
	const { id, state, askedBy, askedAtMs, expiresAtMs, effects, approvals, needs, why, reason = "", made } = request;
	const approved = `${approvals.length} of ${needs} approvals${approvals.map(({ by }) => ` ${by}`).join("")}`;
	const until = state === "pending" ? `, until ${time(expiresAtMs)}` : "";
	const revision = made === undefined ? "" : `; made revision ${made}`;
	print(
		`${id}  ${state.padEnd(8)}  asked by ${oneLine(askedBy)} ${time(askedAtMs)}${until}; ${oneLine(approved)}${revision}`,
	);
	for (const effect of effects) print(`    ${oneLine(effect)}`);
	if (reason !== "") print(`    for the reason: ${oneLine(reason)}`);
	if (why !== "") print(`    ${oneLine(why)}`);
}

function printContent({ operation }: RequestAnswer): void {
	if (operation === null) {
		print("    it is over: see weir history and weir audit operators");
	} else if ("experiment" in operation) {
		print(oneLine(JSON.stringify(operation)));
	} else {
		for (const { kind, name } of operation.deletions) print(oneLine(`delete ${kind} ${name}`));
		for (const { name, text } of operation.files) print(`--- # ${oneLine(name)}\n${shown(text)}`);
	}
}

/** Line by line, for what is approved must be what is read: U+202E would turn the rest of a line around. */
function shown(text: string): string {
	return text.trimEnd().split(/\r?\n/).map(oneLine).join("\n");
}

/** An `expire` of years may lie beyond the range of a Date. */
function time(ms: number): string {
	return ms > 8.64e15 ? "for ever" : new Date(ms).toISOString();
}
