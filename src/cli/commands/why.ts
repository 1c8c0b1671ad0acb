/** `weir why REQUEST_ID`: asks control for all that is known of one request, and which decision stood behind it. */
import { armPoints } from "../../compile/assignment/region.js";
import type { Decision } from "../../decide/rollout/decision.js";
import { liveSharePpm } from "../../decide/rollout/status.js";
import { WeirError } from "../../error.js";
import type { AccessRecordsAnswer, ShownAccessRecord } from "../../observe/events/query/accessRecordQuery.js";
import type { ExperimentAccount, RequestAccount } from "../../observe/events/query/account.js";
import type { RecordedSpan } from "../../observe/telemetry/span.js";
import type { ApiClient } from "../../operate/api/apiClient.js";
import { type ApiArguments, clientOf } from "./apiAccess.js";
import { askRequests } from "./audit.js";
import { type BehindIt, renderWhy, type Why } from "./whyPage.js";

export async function why(id: string, options: ApiArguments & { readonly json?: boolean }): Promise<void> {
	const client = clientOf(options);
	const request = (await ask(client, `/v1/requests/${encodeURIComponent(id)}`)) as RequestAccount;
	const { spans } = (await ask(client, `/v1/traces/${encodeURIComponent(id)}?format=json`)) as {
		readonly spans: readonly RecordedSpan[];
	};
	const why: Why = {
		request,
		records: request.known === "outline" && request.ended ? await recordsOf(client, id) : [],
		decision: await decisionBehind(client, request),
		models: modelsOf(spans),
		trace: spans,
	};
	process.stdout.write(options.json ? `${JSON.stringify(why, null, 2)}\n` : renderWhy(why));
}

/** A request has one for its verdict, and one for each changed assignment. */
const RECORDS_MAX = 10;

async function recordsOf(client: ApiClient, requestId: string): Promise<readonly ShownAccessRecord[]> {
	const { decisions } = (await askRequests(client, { requestId, limit: String(RECORDS_MAX) })) as AccessRecordsAnswer;
	return decisions;
}

/** @throws WeirError the one that control answers with */
async function ask(client: ApiClient, path: string): Promise<unknown> {
	const answer = await client.raw("GET", path);
	const json = answer.json as { readonly error?: { readonly message?: string; readonly hint?: string } } | null;
	if (answer.status < 400 && json !== null) return json;
	const code = answer.status === 404 ? "not-found" : "unavailable";
	throw new WeirError(code, json?.error?.message ?? `control answered ${answer.status}`, json?.error?.hint ?? "");
}

/** The newest decision before the request whose allocation is the plan's; else the newest one, marked. */
async function decisionBehind(client: ApiClient, request: RequestAccount): Promise<BehindIt | null> {
	const name = request.known === "whole" ? request.route?.assignment?.experiment : request.experiment;
	if (name === undefined || name === null) return null;
	const moves = await client.moves(name, request.startMs);
	const experiments = request.known === "whole" ? (request.route?.assignment?.experiments ?? []) : [];
	const table = experiments.find(({ experiment }) => experiment === name) ?? null;
	const fitting = table === null ? undefined : moves.find((decision) => allocates(decision, table));
	const decision = fitting ?? moves[0];
	if (decision === undefined) return null;
	const { experiment, sequence, atMs, by, acknowledgedAtMs, outcome } = decision;
	const { action, rule, reason, status } = outcome;
	return {
		experiment,
		sequence,
		atMs,
		by,
		acknowledgedAtMs,
		action,
		rule,
		reason,
		allocationPpm: status.allocationPpm,
		isPlans: table === null ? null : fitting !== undefined,
	};
}

function allocates({ outcome: { status } }: Decision, { arms }: ExperimentAccount): boolean {
	return arms.every(
		({ name, loPpm, hiPpm, livePoints }) =>
			livePoints === armPoints(hiPpm - loPpm, status.allocationPpm, liveSharePpm(name, status)),
	);
}

function modelsOf(spans: readonly RecordedSpan[]): Why["models"] {
	const models = spans.flatMap(({ attributes }) => {
		const name = attributes["model.name"];
		return name === undefined ? [] : [{ name: String(name), version: String(attributes["model.version"] ?? "") }];
	});
	return [...new Map(models.map((model) => [`${model.name}\n${model.version}`, model])).values()];
}
