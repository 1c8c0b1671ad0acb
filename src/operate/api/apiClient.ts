/** The public API for the command line: one typed method per command. */
import type { ShadowGap } from "../../compile/access/shadow.js";
import type { Decision } from "../../decide/rollout/decision.js";
import type { ExperimentState } from "../../decide/rollout/experimentState.js";
import type { Kind, Position } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { GATE_TIMEOUT_MS_MAX, GATES_MAX } from "../../limits/index.js";
import type { PersonRequest, PersonVerb } from "../approvals/personRequest.js";
import type { AuditChainName, AuditPage } from "../audit/auditLog.js";
import type { Target } from "../changes/change.js";
import type { ProxyReport } from "../state/store/database.js";
import type { DecisionPage } from "../state/store/decisionLog.js";
import { type ApiPlace, type ClientTls, type ExchangeAnswer, exchange } from "./exchange.js";
import type {
	ApplyAnswer,
	DiffAnswer,
	HistoryAnswer,
	OperationAnswer,
	PendingAnswer,
	RequestAnswer,
	RequestsAnswer,
	ResourcesAnswer,
	ShadowGapsAnswer,
	StatusAnswer,
} from "./wire.js";

/** Longer than any answer that waits for no gate: an apply of 5,000 documents takes seconds. */
const TIMEOUT_MS = 60_000;
/** For requests that may call gates, one after the other: they are cancelled if the client disconnects first. */
const GATED_TIMEOUT_MS = GATES_MAX * GATE_TIMEOUT_MS_MAX + TIMEOUT_MS;
const LATE_HINT = "it may have been done all the same: look at weir status and weir requests before you ask again";

export interface ApiClientOptions {
	/** For an https URL. */
	readonly tls?: ClientTls;
	/** OIDC access token; only over https or the UNIX socket. */
	readonly token?: string;
}

export class ApiClient {
	readonly #at: ApiPlace;
	readonly #token: string | null;

	/**
	 * @param url `unix:/path/of/the/socket`, `https://HOST:PORT`, or `http://` for the loopback
	 * @throws WeirError `invalid-argument` for anything else
	 */
	constructor(url: string, { tls = {}, token }: ApiClientOptions = {}) {
		this.#token = token ?? null;
		if (url.startsWith("unix:")) {
			this.#at = { socketPath: url.slice("unix:".length) };
			return;
		}
		const parsed = URL.canParse(url) ? new URL(url) : null;
		if (parsed?.protocol !== "http:" && parsed?.protocol !== "https:") {
			throw new WeirError(
				"invalid-argument",
				`'${url}' is no URL of the API`,
				"write https://HOST:PORT, or unix:/PATH of control's api.sock",
			);
		}
		const secure = parsed.protocol === "https:";
		const host = parsed.hostname.replace(/^\[|\]$/g, "");
		if (!secure && token !== undefined) {
			throw new WeirError("invalid-argument", "a token is not sent over plain http", "write https://");
		}
		this.#at = { host, port: Number(parsed.port || (secure ? 443 : 80)), ...(secure ? { tls } : {}) };
	}

	/** Any path of the API, also those that other roles serve: traces, outcomes, metrics. No status is an error. */
	raw(
		method: string,
		path: string,
		body: { readonly contentType: string; readonly text: string } | null = null,
	): Promise<ExchangeAnswer> {
		return this.#send(method, path, { anyStatus: true, ...(body === null ? {} : { body }) });
	}

	/**
	 * `weir apply`: all files as one, all or nothing.
	 * @param options.onlyAt the revision that they are meant for
	 * @param options.start a start of `weir up` declares them, and has seen all earlier changes
	 * @throws WeirError `conflict` if the state is at another revision
	 */
	async apply(
		files: readonly { readonly name: string; readonly text: string }[],
		{ dryRun, onlyAt, start = false }: { readonly dryRun: boolean; readonly onlyAt?: number; readonly start?: boolean },
	): Promise<ApplyAnswer> {
		const only = onlyAt === undefined ? {} : { onlyAt: String(onlyAt) };
		const query = new URLSearchParams({ dryRun: String(dryRun), ...only, ...(start ? { start: "true" } : {}) });
		const answer = await this.#send("POST", `/v1/resources?${query}`, {
			body: { contentType: "application/json", text: JSON.stringify({ files }) },
		});
		return applyAnswer(answer);
	}

	/** Deletes one resource. */
	async delete(kind: Kind, name: string, options: { readonly dryRun: boolean }): Promise<ApplyAnswer> {
		const query = new URLSearchParams({ dryRun: String(options.dryRun) });
		const path = name.split("/").map(encodeURIComponent).join("/");
		return applyAnswer(await this.#send("DELETE", `/v1/resources/${kind}/${path}?${query}`));
	}

	/** `weir delete`: deletes resources by qualified names, all or none. */
	async deleteAll(resources: readonly Target[], options: { readonly dryRun: boolean }): Promise<ApplyAnswer> {
		const query = new URLSearchParams({ dryRun: String(options.dryRun) });
		return applyAnswer(await this.#send("POST", `/v1/deletions?${query}`, { body: jsonBody({ resources }) }));
	}

	/** `weir history`. @param namespace null = all that the caller may read */
	history(namespace: string | null): Promise<HistoryAnswer> {
		const query = namespace === null ? "" : `?${new URLSearchParams({ namespace })}`;
		return this.#json("GET", `/v1/history${query}`);
	}

	/** Gaps in the results of `weir policy shadow`. */
	async shadowGaps(): Promise<readonly ShadowGap[]> {
		return (await this.#json<ShadowGapsAnswer>("GET", "/v1/policies/shadow-gaps")).gaps;
	}

	/** `weir rollback`. @param namespace null = all that the caller may read */
	async rollback(to: number, namespace: string | null, options: { readonly dryRun: boolean }): Promise<ApplyAnswer> {
		const query = new URLSearchParams({ dryRun: String(options.dryRun) });
		const body = jsonBody({ to, namespace });
		return applyAnswer(await this.#send("POST", `/v1/rollback?${query}`, { body }));
	}

	/** `weir get` as JSON. */
	get(): Promise<ResourcesAnswer> {
		return this.#json("GET", "/v1/resources");
	}

	/** `weir get -o yaml`: the documents as they were written. */
	async getYaml(): Promise<string> {
		return (await this.#send("GET", "/v1/resources?format=yaml")).text;
	}

	status(): Promise<StatusAnswer> {
		return this.#json("GET", "/v1/status");
	}

	diff(): Promise<DiffAnswer> {
		return this.#json("GET", "/v1/diff");
	}

	/** `weir proxy-status` */
	proxies(): Promise<ProxyReport> {
		return this.#json("GET", "/v1/proxies");
	}

	decisions(experiment: string, after: number, limit = 100): Promise<DecisionPage> {
		return this.#json("GET", `${experimentPath(experiment)}/decisions?after=${after}&limit=${limit}`);
	}

	/** The last decisions made at `beforeMs` or earlier that moved live traffic, newest first. */
	async moves(experiment: string, beforeMs: number): Promise<readonly Decision[]> {
		const path = `${experimentPath(experiment)}/moves?before=${Math.floor(beforeMs)}`;
		return (await this.#json<{ decisions: readonly Decision[] }>("GET", path)).decisions;
	}

	/** The current state of an Experiment with fresh evidence: the source of `weir report`. */
	standing(experiment: string): Promise<ExperimentState> {
		return this.#json("GET", `${experimentPath(experiment)}/standing`);
	}

	/** All decisions after the given sequence, page by page. */
	async *allDecisions(experiment: string, after = 0): AsyncGenerator<Decision> {
		for (let next: number | null = after; next !== null; ) {
			const page: DecisionPage = await this.decisions(experiment, next);
			yield* page.decisions;
			next = page.next;
		}
	}

	/** `weir pause | resume | promote | abort`; pending if others must approve it. */
	async act(
		experiment: string,
		verb: PersonVerb,
		options: Partial<Pick<PersonRequest, "reason" | "overrideGates" | "shutOut">> & { readonly arm?: string } = {},
	): Promise<OperationAnswer> {
		const answer = await this.#send("POST", `${experimentPath(experiment)}/${verb}`, {
			body: jsonBody(options),
			...(verb === "promote" ? { timeoutMs: GATED_TIMEOUT_MS } : {}),
		});
		if (answer.status === 202) return answer.json as PendingAnswer;
		return { outcome: "done", ...(answer.json as { readonly revision: number; readonly decision: Decision }) };
	}

	/** `weir requests`: pending and ended requests. */
	async requests(): Promise<readonly RequestAnswer[]> {
		return (await this.requestsAnswer()).requests;
	}

	/** Requests, and whether some may be hidden. */
	requestsAnswer(): Promise<RequestsAnswer> {
		return this.#json("GET", "/v1/approvals");
	}

	request(id: string): Promise<RequestAnswer> {
		return this.#json("GET", `/v1/approvals/${encodeURIComponent(id)}`);
	}

	/** `weir approve ID`: the state of the answer is `done`, or still `pending`. */
	async approve(id: string): Promise<RequestAnswer> {
		const path = `/v1/approvals/${encodeURIComponent(id)}/approve`;
		const more = { body: jsonBody({}), timeoutMs: GATED_TIMEOUT_MS };
		return (await this.#send("POST", path, more)).json as RequestAnswer;
	}

	async reject(id: string, reason = ""): Promise<RequestAnswer> {
		const path = `/v1/approvals/${encodeURIComponent(id)}/reject`;
		return (await this.#send("POST", path, { body: jsonBody({ reason }) })).json as RequestAnswer;
	}

	/** One page of the operators' audit: operations, or refused attempts. */
	audit(after: number, limit = 1_000, chain: AuditChainName = "operations"): Promise<AuditPage> {
		return this.#json("GET", `/v1/audit?chain=${chain}&after=${after}&limit=${limit}`);
	}

	async #json<T>(method: string, path: string): Promise<T> {
		return (await this.#send(method, path)).json as T;
	}

	#send(
		method: string,
		path: string,
		more: {
			readonly body?: { readonly contentType: string; readonly text: string };
			readonly anyStatus?: boolean;
			readonly timeoutMs?: number;
		} = {},
	): Promise<ExchangeAnswer> {
		return exchange({
			at: this.#at,
			token: this.#token,
			method,
			path,
			body: more.body ?? null,
			timeoutMs: more.timeoutMs ?? TIMEOUT_MS,
			...(method === "GET" ? {} : { lateHint: LATE_HINT }),
			anyStatus: more.anyStatus ?? false,
		});
	}
}

function jsonBody(value: unknown) {
	return { contentType: "application/json", text: JSON.stringify(value) };
}

function experimentPath(name: string): string {
	return `/v1/experiments/${encodeURIComponent(name)}`;
}

interface WireProblem {
	readonly file: string | null;
	readonly line: number | null;
	readonly column: number | null;
	readonly message: string;
	readonly hint: string;
}

function applyAnswer({ status, json }: ExchangeAnswer): ApplyAnswer {
	if (status === 202) return json as PendingAnswer;
	const body = json as
		| { problems: readonly WireProblem[] }
		| Omit<Extract<ApplyAnswer, { outcome: "applied" }>, "outcome">;
	if (!("problems" in body)) return { outcome: "applied", ...body };
	return {
		outcome: "refused",
		problems: body.problems.map(({ file, line, column, message, hint }) => {
			const position: Position | null =
				file === null || line === null || column === null ? null : { file, line, column };
			return { position, message, hint };
		}),
	};
}
