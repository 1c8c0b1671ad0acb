/** Helpers for predictor tests: paths of model files, one call of a predictor, and a recording meter. */
import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { type Agent, request as httpsRequest } from "node:https";
import { fileURLToPath } from "node:url";
import { BroadcastChannel } from "node:worker_threads";
import { gunzipSync } from "node:zlib";
import type { Meter } from "../../../src/serve/predictor/ports.js";

const file = (path: string): string => fileURLToPath(new URL(`../../../../test/${path}`, import.meta.url));

export const employmentModel = (name: string): string => file(`fixtures/employment/${name}.onnx`);
export const tinyModel = (name: string): string => file(`serve/predictor/models/${name}.onnx`);

export interface EmploymentRow {
	readonly features: readonly number[];
	readonly employed: number;
	readonly expected: { readonly plain: number; readonly better: number; readonly worse: number };
}

/** The sample with the labels that Python's onnxruntime gives. */
export function employmentSample(): EmploymentRow[] {
	const rows = csv("sample");
	return csv("expected").map(([plain = -1, better = -1, worse = -1], at) => {
		const row = rows[at] ?? [];
		return { features: row.slice(0, 16), employed: row[17] ?? -1, expected: { plain, better, worse } };
	});
}

const csv = (name: string): number[][] =>
	gunzipSync(readFileSync(file(`fixtures/employment/${name}.csv.gz`)))
		.toString()
		.trimEnd()
		.split("\n")
		.slice(1)
		.map((line) => line.split(",").map(Number));

export interface Answer {
	readonly status: number;
	readonly headers: Readonly<Record<string, string | string[] | undefined>>;
	readonly json: AnswerBody;
}

/** The checked parts of an answer; outputs is empty if there are none. */
export interface AnswerBody {
	readonly [field: string]: unknown;
	readonly outputs: readonly {
		readonly shape: readonly number[];
		readonly data: readonly (number | boolean | string)[];
	}[];
}

export interface Call {
	readonly method?: string;
	readonly path: string;
	readonly headers?: Readonly<Record<string, string>>;
	/** Objects are sent as JSON with its content type; strings and bytes as they are. */
	readonly body?: unknown;
	readonly signal?: AbortSignal;
	/** Client certificate and authority, for an https predictor. */
	readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string };
	readonly agent?: Agent;
}

/** The server's name is its SPIFFE id; these tests do not check it. */
export const anyServer = (): undefined => undefined;

/**
 * @param url as startPredictor gives it
 * @param call with `tls`, an `agent` itself decides which servers it trusts
 */
export function call(url: string, { method, path, headers = {}, body, signal, tls, agent }: Call): Promise<Answer> {
	const where = url.startsWith("unix:")
		? { socketPath: url.slice(5) }
		: { host: new URL(url).hostname.replace(/[[\]]/g, ""), port: new URL(url).port };
	const raw = body === undefined || typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
	return new Promise((resolve, reject) => {
		const request = (tls === undefined ? httpRequest : httpsRequest)(
			{
				...where,
				...tls,
				// From 22.23 on, Node's Agents do not reuse the connection of a request with its own checkServerIdentity.
				...(tls === undefined || agent !== undefined ? {} : { checkServerIdentity: anyServer }),
				path,
				method: method ?? (raw === undefined ? "GET" : "POST"),
				headers: { ...(raw === undefined ? {} : { "content-type": "application/json" }), ...headers },
				agent: agent ?? false,
				...(signal === undefined ? {} : { signal }),
			},
			(response) => {
				const chunks: Buffer[] = [];
				response.on("data", (chunk: Buffer) => chunks.push(chunk));
				response.on("end", () => {
					const text = Buffer.concat(chunks).toString();
					resolve({
						status: response.statusCode ?? 0,
						headers: response.headers,
						json: text === "" ? { outputs: [] } : JSON.parse(text),
					});
				});
			},
		);
		request.on("error", reject);
		request.end(raw);
	});
}

/** Lets the hung inferences of dying.worker.ts continue. */
export function goOn(): void {
	const channel = new BroadcastChannel("go on");
	channel.postMessage(null);
	channel.close();
}

export interface RememberingMeter extends Meter {
	readonly counts: Map<string, number>;
}

export function rememberingMeter(): RememberingMeter {
	const counts = new Map<string, number>();
	return {
		counts,
		count: (name, _help, labels = {}, by = 1) => {
			const key = `${name}${JSON.stringify(labels)}`;
			counts.set(key, (counts.get(key) ?? 0) + by);
		},
		gauge: () => {},
		observe: () => {},
	};
}
