/** `weir requests | approve | reject`: what waits for a second person. */
import { WeirError } from "../../error.js";
import type { ApiClient } from "../../state/api/apiClient.js";
import type { RequestAnswer, RequestsAnswer } from "../../state/api/wire.js";
import type { RequestDocument, Texts } from "../../state/approvals/requestDocuments.js";
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
		if (id === undefined) continue;
		for (const { key, text } of await standing(client, request))
			print(`--- # as it stands: ${oneLine(key)}\n${shown(text)}`);
		printContent(request);
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

const textsOf = (act: NonNullable<RequestAnswer["act"]>): Texts | null =>
	act.verb === "apply" ? act.files : act.verb === "rollback" ? act.documents : null;

/** What the documents of a request that waits would change, as the caller may read it; they are part of what is approved. */
async function standing(client: ApiClient, { act, state }: RequestAnswer): Promise<readonly RequestDocument[]> {
	const texts = act === null ? null : textsOf(act);
	if (texts === null || state !== "pending") return [];
	const { RequestDocuments } = await import("../../state/approvals/requestDocuments.js");
	const asked = new Map(new RequestDocuments().of("asked", texts).map(({ key, text }) => [key, text]));
	const stored = await client.getYaml().catch((error: unknown) => {
		// Who asked sees the request, whatever else.
		if (WeirError.from(error).code === "permission-denied") return "";
		throw error;
	});
	return new RequestDocuments()
		.of("stored", [{ name: "stored", text: stored }])
		.filter(({ key, text }) => asked.has(key) && asked.get(key)?.trim() !== text.trim());
}

function printContent({ act, state }: RequestAnswer): void {
	if (act === null) {
		print(
			`    ${state === "done" ? "its content is not kept any more" : "it did not happen, and its content is not kept"}`,
		);
		return;
	}
	const files = textsOf(act);
	if (files !== null) for (const { name, text } of files) print(`--- # ${oneLine(name)}\n${shown(text)}`);
	else print(oneLine(JSON.stringify(act)));
}

/** Line by line, for what is approved must be what is read: U+202E would turn the rest of a line around. */
function shown(text: string): string {
	return text.trimEnd().split(/\r?\n/).map(oneLine).join("\n");
}

/** An `expire` of years may lie beyond what a Date can say. */
function time(ms: number): string {
	return ms > 8.64e15 ? "for ever" : new Date(ms).toISOString();
}
