/** Weir's own predictor as control sees it: it serves models of a store, loads what it is asked for, and says when it can. */
import { request } from "node:https";
import { WeirError } from "../../error.js";
import { mutualAgent } from "../../trust/identity/nodeTls.js";
import type { Identity } from "../../trust/identity/svid.js";
import type { ModelHost } from "./models.js";

/** Longest wait for a model to be loaded and warmed up. */
const LOAD_MS = 120_000;
/** Longest answer that is read, an error. */
const ANSWER_BYTES_MAX = 16 * 1024;

export interface PredictorPlace {
	readonly host: string;
	readonly port: number;
	/** SPIFFE id that it must prove. */
	readonly id: string;
}

export function predictorHost({ host, port, id }: PredictorPlace, identity: Identity): ModelHost {
	const agent = mutualAgent(identity, (server) => server === id);
	return {
		endpoint: { address: host, port, locality: null },
		id,
		load: ({ name, digest }) =>
			new Promise((resolve, reject) => {
				const path = `/v2/models/${encodeURIComponent(name)}/versions/${encodeURIComponent(digest)}/ready`;
				const refuse = (why: string, cause?: unknown): void =>
					reject(new WeirError("unavailable", `the predictor does not serve it: ${why}`, "", { cause }));
				const asked = request({ host, port, path, agent, timeout: LOAD_MS }, (answer) => {
					let text = "";
					answer.setEncoding("utf8");
					answer.on("data", (chunk: string) => {
						if (text.length < ANSWER_BYTES_MAX) text += chunk;
					});
					answer.once("end", () => (answer.statusCode === 200 ? resolve() : refuse(errorIn(text))));
					answer.once("error", (error) => refuse(error.message, error));
				});
				asked.once("timeout", () => asked.destroy(new Error(`no answer in ${LOAD_MS / 1_000} s`)));
				asked.once("error", (error) => refuse(error.message, error));
				asked.end();
			}),
	};
}

/** The reason in an answer of the protocol, `{"error": …}`. */
function errorIn(text: string): string {
	try {
		const { error } = JSON.parse(text) as { error?: unknown };
		if (typeof error === "string") return error;
	} catch {
		// No JSON: the text itself says more than nothing.
	}
	return text.slice(0, 200);
}
