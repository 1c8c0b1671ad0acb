/**
 * The port Webhook over HTTP: POST of JSON, one bounded answer, no redirect followed (a gate that moved must be
 * declared anew: its answer decides about traffic), no credentials from the URL. What it says of a URL is its host.
 */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { GATE_ANSWER_BYTES_MAX, GATE_WORDS_CHARS_MAX } from "../limits.js";
import type { Webhook, WebhookAnswer } from "../rollout/ports.js";

/** `https` beyond this machine; plain http only to the loopback, where nobody can answer in the gate's place. */
export const postWebhook: Webhook = async (gate, question) => {
	const url = URL.canParse(gate.url) ? new URL(gate.url) : null;
	if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) return no("its URL is no http URL");
	if (url.username !== "" || url.password !== "") return no("its URL holds credentials, which are not sent");
	if (url.protocol === "http:" && !isLoopback(url.hostname)) return no("plain http beyond this machine; use https");
	return new Promise<WebhookAnswer>((resolve) => {
		const body = Buffer.from(JSON.stringify(question));
		const sent = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, {
			method: "POST",
			agent: false,
			headers: {
				"content-type": "application/json",
				"content-length": body.length,
				// RFC-draft idempotency-key-header: a quoted string.
				"idempotency-key": JSON.stringify(question.id),
				"user-agent": "weir",
			},
		});
		const done = (answer: WebhookAnswer): void => {
			clearTimeout(timer);
			resolve(answer);
			sent.destroy();
		};
		const timer = setTimeout(() => done(no(`no answer within ${gate.timeoutMs} ms`)), gate.timeoutMs);
		sent.on("error", (error: NodeJS.ErrnoException) => done(no(`it cannot be reached (${error.code ?? "error"})`)));
		sent.on("response", (response) => {
			const status = response.statusCode ?? 0;
			// The status is the answer: a body that never ends cannot take a yes back.
			if (status >= 200 && status < 300) return done({ ok: true });
			if (status >= 300 && status < 400) return done(no(`HTTP ${status}: redirects are not followed`));
			void words(response).then((said) => done(no(`HTTP ${status}${said === "" ? "" : `: ${said}`}`)));
		});
		sent.end(body);
	});
};

function no(why: string): WebhookAnswer {
	return { ok: false, why };
}

/** The first line of a refusal, for the decision's reason: bounded, printable, of whatever content type. */
async function words(response: IncomingMessage): Promise<string> {
	const chunks: Buffer[] = [];
	let bytes = 0;
	try {
		for await (const chunk of response as AsyncIterable<Buffer>) {
			chunks.push(chunk);
			bytes += chunk.length;
			if (bytes >= GATE_ANSWER_BYTES_MAX) break;
		}
	} catch {
		// Cut short: what came is quoted.
	}
	const text = Buffer.concat(chunks).subarray(0, GATE_ANSWER_BYTES_MAX).toString("utf8");
	const line = text.split(/[\r\n\u2028\u2029]/)[0] ?? "";
	return line.replace(/\p{C}/gu, "").trim().slice(0, GATE_WORDS_CHARS_MAX);
}

function isLoopback(host: string): boolean {
	return host === "localhost" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}
