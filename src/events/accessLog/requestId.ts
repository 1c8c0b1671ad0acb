/**
 * Whether the id in an access-log entry is Envoy's. It gives a request one only after it has looked at its form: the entry of
 * what it refuses before (an escaped slash, a fragment, no Host, `*`, an overload) carries the client's own x-request-id,
 * which may be any text, a token among it, or the id of somebody else's request (seen on 1.36.2, 1.38.3 and 1.40.0).
 */
import type { AccessLogEntry } from "./accessLogEntry.js";
import { eachNamespace } from "./filterMetadata.js";

/**
 * An id is believed only of an entry that shows that the request came further: by the name of its route, or by the word of
 * a filter. What shows neither, whatever Envoy says of it, has none.
 * @param codeDetails of the entry
 */
export function hasEnvoysId(entry: AccessLogEntry, codeDetails: string): boolean {
	return (
		entry.routeName !== "" ||
		// weir.allow judges every request but those of closed Services (compiler/closed.ts), which the router answers.
		codeDetails === "direct_response" ||
		eachNamespace(entry, RBAC, () => true) !== null
	);
}

const RBAC: ReadonlySet<string> = new Set(["envoy.filters.http.rbac"]);
