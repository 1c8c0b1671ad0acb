/**
 * Outcome senders and their permissions. Outcomes move traffic, so a sender needs a grant for each metric (Metric
 * spec.senders); the local owner of control needs none.
 */
import type { IncomingMessage } from "node:http";
import { spiffeFault } from "../../../../declare/resources/spiffe.js";
import { headerValues } from "../../http.js";

/** anonymous: the connection proves no identity that a Metric could name. */
export type Sender =
	| { readonly kind: "owner" }
	| { readonly kind: "spiffe"; readonly id: string }
	| { readonly kind: "anonymous" };

/** Names the caller on the UNIX socket; every client there sets it, the local owner as `local:NAME`. */
export const CALLER_HEADER = "x-weir-caller";

/** Encodes a subject for CALLER_HEADER: a header's value is ASCII, a subject is any text. */
export const encodeCaller = (subject: string): string => encodeURIComponent(subject);

const OWNER: Sender = { kind: "owner" };
const ANONYMOUS: Sender = { kind: "anonymous" };

/**
 * Sender of a request on the UNIX socket, which only the owner's processes can reach. Without the header it has no
 * identity: it may be a forwarded request whose real caller was not named.
 */
export function senderOnSocket(request: IncomingMessage): Sender {
	const subject = callerOnSocket(request);
	return isLocalOwner(subject) ? OWNER : senderOfId(subject);
}

/** The subject that the request names; null = none. */
export function callerOnSocket(request: Pick<IncomingMessage, "rawHeaders">): string | null {
	const values = headerValues(request, CALLER_HEADER);
	return values.length === 1 ? subjectOf(values[0] ?? "") : null;
}

/** Whether the subject is the API's local owner. The API accepts no such subject from other sources. */
export const isLocalOwner = (subject: string | null): boolean => subject !== null && /^local:./u.test(subject);

/** @returns null if encodeCaller does not produce this value */
function subjectOf(value: string): string | null {
	try {
		const subject = decodeURIComponent(value);
		return encodeCaller(subject) === value ? subject : null;
	} catch {
		return null;
	}
}

function senderOfId(id: string | null): Sender {
	return id !== null && spiffeFault(id) === null ? { kind: "spiffe", id } : ANONYMOUS;
}

/** Whether the Metric's declaration allows the sender to post its outcomes. */
export function maySend(sender: Sender, { senders }: { readonly senders?: readonly string[] }): boolean {
	return sender.kind === "owner" || (sender.kind === "spiffe" && (senders ?? []).includes(sender.id));
}
