/**
 * Asks a gate over HTTP: POST of JSON, one bounded answer, no redirects, no credentials from the URL. All connection errors
 * give the same message, so that a user who may declare gates cannot use control as a port scanner.
 */
import { type LookupAddress, type LookupAllOptions, lookup } from "node:dns";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import type { Webhook, WebhookAnswer } from "../../decide/rollout/ports.js";
import { bareHost, isLoopbackHost } from "../../declare/resources/address.js";
import { isThisMachine } from "../../declare/resources/checks/serverOwner.js";
import { machineAddress, reachesLocalMachine } from "../../declare/resources/machineAddress.js";

/** Bytes read of a gate's response: its status decides, the body is only quoted. */
const GATE_ANSWER_BYTES_MAX = 4_096;

/** Characters of a gate's response that a decision quotes. */
const GATE_QUOTE_CHARS_MAX = 200;

/** `https` beyond this machine; plain http only to the loopback, where no other machine can answer. */
export const postWebhook: Webhook = (gate, question) => webhookBy(lookup)(gate, question);

/** The same, with another DNS resolver. */
export const webhookBy =
	(ask: Resolve): Webhook =>
	async (gate, question) => {
		const url = URL.canParse(gate.url) ? new URL(gate.url) : null;
		if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) return no("its URL is no http URL");
		if (url.username !== "" || url.password !== "") return no("its URL holds credentials, which are not sent");
		if (url.protocol === "http:" && !isLoopbackHost(url.hostname))
			return no("plain http beyond this machine; use https");
		const host = bareHost(url.hostname);
		// An address is not looked up.
		const own = refusedAddress(host, isThisMachine(host));
		if (own !== null) return no(own);
		return new Promise<WebhookAnswer>((resolve) => {
			const body = Buffer.from(JSON.stringify(question));
			const sent = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, {
				method: "POST",
				agent: false,
				lookup: judged(ask, isThisMachine(host)),
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
			const unanswered = (cause: string): void =>
				done({
					...no(`it could not be asked, or gave no answer within ${gate.timeoutMs} ms; control's log has the cause`),
					cause,
				});
			const timer = setTimeout(() => unanswered("silence"), gate.timeoutMs);
			sent.on("error", (error: NodeJS.ErrnoException) => {
				if (error instanceof RefusedAddress) done(no(error.message));
				else unanswered(error.code ?? "error");
			});
			sent.on("response", (response) => {
				const status = response.statusCode ?? 0;
				// The status is the answer; the body of a yes is not read.
				if (status >= 200 && status < 300) return done({ ok: true });
				if (status >= 300 && status < 400) return done(refused(status, "redirects are not followed"));
				void messageOf(response).then((message) => done(refused(status, message)));
			});
			sent.end(body);
		});
	};

function no(why: string): Extract<WebhookAnswer, { ok: false }> {
	return { ok: false, why };
}

/** @param message may be empty */
function refused(status: number, message: string): WebhookAnswer {
	return { ok: false, why: `HTTP ${status}${message === "" ? "" : `: ${message}`}`, status };
}

/**
 * The `message` of a JSON refusal, bounded and printable, for the decision's reason. No other body is quoted: a user who may
 * declare gates must not read pages through control.
 */
async function messageOf(response: IncomingMessage): Promise<string> {
	if (!/^application\/json *(;|$)/i.test(response.headers["content-type"] ?? "")) return "";
	const chunks: Buffer[] = [];
	let bytes = 0;
	let body: unknown;
	try {
		for await (const chunk of response as AsyncIterable<Buffer>) {
			bytes += chunk.length;
			if (bytes > GATE_ANSWER_BYTES_MAX) return "";
			chunks.push(chunk);
		}
		body = JSON.parse(Buffer.concat(chunks).toString("utf8"));
	} catch {
		// Cut short, or no JSON.
		return "";
	}
	const message = typeof body === "object" && body !== null && "message" in body ? body.message : "";
	if (typeof message !== "string") return "";
	const line = message.split(/[\r\n\u2028\u2029]/)[0] ?? "";
	return line.replace(/\p{C}/gu, "").trim().slice(0, GATE_QUOTE_CHARS_MAX);
}

/** The signature of dns.lookup. */
export type Resolve = (
	host: string,
	options: LookupAllOptions,
	callback: (error: Error | null, addresses: readonly LookupAddress[]) => void,
) => void;

/**
 * Why a gate must not be asked at this address; null = it may.
 * @param local the gate is declared as one on this machine, which control must have been started for (--allow-local-gates)
 */
function refusedAddress(address: string, local: boolean): string | null {
	const own = machineAddress(address);
	if (own !== null) return `it cannot be reached (${own})`;
	if (local || !reachesLocalMachine(address)) return null;
	return "it leads to control's own machine, and is not declared there (http://127.0.0.1:PORT, with --allow-local-gates)";
}

class RefusedAddress extends Error {}

/** Checks the addresses that the connection itself uses: a second DNS query could return others. */
const judged = (resolve: Resolve, local: boolean): LookupFunction => {
	return (host, options, callback) => {
		resolve(host, { ...options, all: true }, (error, addresses) => {
			const [first] = addresses ?? [];
			if (error !== null || first === undefined) return callback(error ?? new Error("no address"), "");
			for (const { address } of addresses) {
				const own = refusedAddress(address, local);
				if (own !== null) return callback(new RefusedAddress(own), "");
			}
			if (options.all) callback(null, [...addresses]);
			else callback(null, first.address, first.family);
		});
	};
};
