/**
 * Who posts outcomes, and what it may post. Outcomes move traffic, so that a sender needs a grant for each metric
 * (Metric spec.senders); the local owner of control needs none.
 */
import type { IncomingMessage } from "node:http";
import { spiffeFault } from "../resources/spiffe.js";

/** nobody: the connection proves no identity that a Metric could name. */
export type Sender =
	| { readonly kind: "owner" }
	| { readonly kind: "spiffe"; readonly id: string }
	| { readonly kind: "nobody" };

/** In whose name the public API passes a request on; without it the request is the local owner's own. */
export const CALLER_HEADER = "x-weir-caller";

const OWNER: Sender = { kind: "owner" };
const NOBODY: Sender = { kind: "nobody" };

/** Of a request on the UNIX socket, which only the owner's processes reach. */
export function senderOnSocket(request: IncomingMessage): Sender {
	const caller = request.headers[CALLER_HEADER];
	if (caller === undefined) return OWNER;
	// How the API calls the local owner: `local:NAME`, which no SPIFFE id and no issuer can look like.
	if (typeof caller === "string" && /^local:[A-Za-z0-9._-]+$/.test(caller)) return OWNER;
	return senderOfId(typeof caller === "string" ? caller : null);
}

/** @param id of a verified certificate; null = none */
export function senderOfId(id: string | null): Sender {
	return id !== null && spiffeFault(id) === null ? { kind: "spiffe", id } : NOBODY;
}

/** Whether the Metric's declaration lets the sender post its outcomes. */
export function maySend(sender: Sender, { senders }: { readonly senders?: readonly string[] }): boolean {
	return sender.kind === "owner" || (sender.kind === "spiffe" && (senders ?? []).includes(sender.id));
}
