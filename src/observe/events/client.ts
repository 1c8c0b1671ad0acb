/** EvidenceSource over ingest's UNIX socket, used by rollout. If ingest is down, calls fail with `unavailable`. */
import { request } from "node:http";
import type { EvidenceSource } from "../../decide/rollout/ports.js";
import { type ErrorCode, HTTP_STATUS, WeirError } from "../../error.js";
import type { BaselineQuantile, Evidence } from "../../infer/statistics/evidence.js";
import { EVIDENCE_TIMEOUT_MS } from "../../limits/index.js";

export interface IngestClient extends EvidenceSource {
	/** The ingest process's metrics. */
	metricsJson(): Promise<unknown>;
	/** Tokens that named a key unknown to Envoy, by Gateway, since the ingest process started. */
	unknownKeys(): Promise<Readonly<Record<string, number>>>;
}

/** Evidence paths by client: the rollout loop has priority. */
export const EVIDENCE_PATHS = { loop: "/evidence", readers: "/readers-evidence" } as const;

/** @param timeoutMs limit of one whole call; `deadline-exceeded` after it */
export function ingestClient(
	socketPath: string,
	timeoutMs: number = EVIDENCE_TIMEOUT_MS,
	asksFor: keyof typeof EVIDENCE_PATHS = "loop",
): IngestClient {
	const ask = (method: string, path: string, body: unknown): Promise<unknown> =>
		call(socketPath, timeoutMs, method, path, body);
	return {
		evidence: async (query) => (await ask("POST", EVIDENCE_PATHS[asksFor], query)) as Evidence,
		baselineQuantile: async (query) => (await ask("POST", "/baseline-quantile", query)) as BaselineQuantile | null,
		unknownKeys: async () => (await ask("GET", "/unknown-keys", undefined)) as Readonly<Record<string, number>>,
		metricsJson: () => ask("GET", "/metrics-json", undefined),
	};
}

async function call(
	socketPath: string,
	timeoutMs: number,
	method: string,
	path: string,
	body: unknown,
): Promise<unknown> {
	const payload = body === undefined ? "" : JSON.stringify(body);
	const signal = AbortSignal.timeout(timeoutMs);
	const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
		const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(payload) };
		const sent = request({ socketPath, method, path, headers, signal }, (response) => {
			response.setEncoding("utf8");
			let text = "";
			response.on("data", (chunk: string) => {
				text += chunk;
			});
			response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
			response.on("error", reject);
			response.on("aborted", () => reject(new Error("the connection ended early")));
		});
		sent.on("error", reject);
		sent.end(payload);
	}).catch((thrown: unknown) => {
		if (signal.aborted) {
			throw new WeirError("deadline-exceeded", `ingest did not answer within ${timeoutMs} ms`, "", { cause: thrown });
		}
		throw new WeirError("unavailable", `ingest does not answer on ${socketPath}`, "check that `weir ingest` runs", {
			cause: thrown,
		});
	});
	return answer(status, text);
}

function answer(status: number, text: string): unknown {
	let json: unknown;
	try {
		json = JSON.parse(text);
	} catch (thrown) {
		throw new WeirError("unavailable", "ingest's answer is not JSON", "", { cause: thrown });
	}
	if (status === 200) return json;
	const error = typeof json === "object" && json !== null && "error" in json ? json.error : null;
	const fault: Readonly<Record<string, unknown>> = typeof error === "object" && error !== null ? { ...error } : {};
	const code =
		typeof fault.code === "string" && Object.hasOwn(HTTP_STATUS, fault.code)
			? (fault.code as ErrorCode)
			: "unavailable";
	throw new WeirError(code, String(fault.message ?? `ingest answered ${status}`), String(fault.hint ?? ""));
}
