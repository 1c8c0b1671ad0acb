/** The public API for the command line: one typed method per command. */
import { WeirError } from "../error.js";
import type { Kind, Position, Resource } from "../resources/resource.js";
import type { Decision } from "../rollout/decision.js";
import type { ProxyReport } from "./database.js";
import type { DecisionPage } from "./decisionLog.js";
import type { Difference } from "./difference.js";
import { type ExchangeAnswer, exchange } from "./exchange.js";
import type { PersonVerb } from "./personRequest.js";
import type { ApplyAnswer, StatusAnswer } from "./wire.js";

/** Longer than any answer of the API takes: an apply of 5,000 documents takes seconds. */
const TIMEOUT_MS = 60_000;

export class ApiClient {
	readonly #at: { readonly host: string; readonly port: number };

	/** @throws WeirError `invalid-argument` unless `url` is an http URL. */
	constructor(url: string) {
		const parsed = URL.canParse(url) ? new URL(url) : null;
		if (parsed?.protocol !== "http:") {
			throw new WeirError("invalid-argument", `'${url}' is no http URL`, "write http://127.0.0.1:PORT");
		}
		this.#at = { host: parsed.hostname.replace(/^\[|\]$/g, ""), port: Number(parsed.port || 80) };
	}

	/** `weir apply`: all files as one, all or nothing. */
	async apply(
		files: readonly { readonly name: string; readonly text: string }[],
		options: { readonly by: string; readonly dryRun: boolean },
	): Promise<ApplyAnswer> {
		const query = new URLSearchParams({ by: options.by, dryRun: String(options.dryRun) });
		const answer = await this.#send("POST", `/v1/resources?${query}`, {
			body: { contentType: "application/json", text: JSON.stringify({ files }) },
		});
		return applyAnswer(answer);
	}

	/** Takes one resource away. */
	async delete(
		kind: Kind,
		name: string,
		options: { readonly by: string; readonly dryRun: boolean },
	): Promise<ApplyAnswer> {
		const query = new URLSearchParams({ by: options.by, dryRun: String(options.dryRun) });
		const path = name.split("/").map(encodeURIComponent).join("/");
		return applyAnswer(await this.#send("DELETE", `/v1/resources/${kind}/${path}?${query}`));
	}

	/** `weir get` as JSON. */
	get(): Promise<{ readonly revision: number; readonly resources: readonly Resource[] }> {
		return this.#json("GET", "/v1/resources");
	}

	/** `weir get -o yaml`: the documents as they were written. */
	async getYaml(): Promise<string> {
		return (await this.#send("GET", "/v1/resources?format=yaml")).text;
	}

	status(): Promise<StatusAnswer> {
		return this.#json("GET", "/v1/status");
	}

	diff(): Promise<Difference> {
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

	/** All decisions after the given sequence, page by page. */
	async *allDecisions(experiment: string, after = 0): AsyncGenerator<Decision> {
		for (let next: number | null = after; next !== null; ) {
			const page: DecisionPage = await this.decisions(experiment, next);
			yield* page.decisions;
			next = page.next;
		}
	}

	/** `weir pause | resume | promote | abort` */
	async act(
		experiment: string,
		verb: PersonVerb,
		said: { readonly by: string; readonly reason?: string; readonly arm?: string },
	): Promise<{ readonly revision: number; readonly decision: Decision }> {
		const answer = await this.#send("POST", `${experimentPath(experiment)}/${verb}`, {
			body: { contentType: "application/json", text: JSON.stringify(said) },
		});
		return answer.json as { readonly revision: number; readonly decision: Decision };
	}

	async #json<T>(method: string, path: string): Promise<T> {
		return (await this.#send(method, path)).json as T;
	}

	#send(
		method: string,
		path: string,
		more: {
			readonly body?: { readonly contentType: string; readonly text: string };
		} = {},
	): Promise<ExchangeAnswer> {
		return exchange({
			at: this.#at,
			method,
			path,
			body: more.body ?? null,
			timeoutMs: TIMEOUT_MS,
		});
	}
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

function applyAnswer({ json }: ExchangeAnswer): ApplyAnswer {
	const body = json as
		| { problems: readonly WireProblem[] }
		| Omit<Extract<ApplyAnswer, { outcome: "applied" }>, "outcome">;
	if (!("problems" in body)) return { outcome: "applied", revision: body.revision, changes: body.changes };
	return {
		outcome: "refused",
		problems: body.problems.map(({ file, line, column, message, hint }) => {
			const position: Position | null =
				file === null || line === null || column === null ? null : { file, line, column };
			return { position, message, hint };
		}),
	};
}
