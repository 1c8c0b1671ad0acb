/**
 * Who posts outcomes, and what it may post. Outcomes move traffic, so that a sender needs a grant for each metric
 * (Metric spec.senders); the local owner of control needs none.
 */
import type { IncomingMessage } from "node:http";
import { spiffeFault } from "../../../declare/resources/spiffe.js";
import { headerWords } from "../http.js";

/** nobody: the connection proves no identity that a Metric could name. */
export type Sender =
	| { readonly kind: "owner" }
	| { readonly kind: "spiffe"; readonly id: string }
	| { readonly kind: "nobody" };

/** In whose name a request comes on the UNIX socket. Whoever asks there says it, the local owner too (`local:NAME`). */
export const CALLER_HEADER = "x-weir-caller";

/** A subject as CALLER_HEADER holds it: a header's value is ASCII, and a subject any text. */
export const callerWord = (subject: string): string => encodeURIComponent(subject);

const OWNER: Sender = { kind: "owner" };
const NOBODY: Sender = { kind: "nobody" };

/**
 * Of a request on the UNIX socket, which only the owner's processes reach. One that names nobody is nobody's: it may be
 * what somebody else brought, and got past whoever should have said so.
 */
export function senderOnSocket(request: IncomingMessage): Sender {
	const subject = callerOnSocket(request);
	return isLocalOwner(subject) ? OWNER : senderOfId(subject);
}

/** The subject in whose name it comes; null = nobody's. */
export function callerOnSocket(request: Pick<IncomingMessage, "rawHeaders">): string | null {
	const words = headerWords(request, CALLER_HEADER);
	return words.length === 1 ? subjectOf(words[0] ?? "") : null;
}

/** How the API calls the local owner; it takes no subject that begins so from anywhere else. */
export const isLocalOwner = (subject: string | null): boolean => subject !== null && /^local:./u.test(subject);

/** @returns null for what callerWord does not write */
function subjectOf(word: string): string | null {
	try {
		const subject = decodeURIComponent(word);
		return callerWord(subject) === word ? subject : null;
	} catch {
		return null;
	}
}

/** @param id of a verified certificate; null = none */
export function senderOfId(id: string | null): Sender {
	return id !== null && spiffeFault(id) === null ? { kind: "spiffe", id } : NOBODY;
}

/** Whether the Metric's declaration lets the sender post its outcomes. */
export function maySend(sender: Sender, { senders }: { readonly senders?: readonly string[] }): boolean {
	return sender.kind === "owner" || (sender.kind === "spiffe" && (senders ?? []).includes(sender.id));
}
