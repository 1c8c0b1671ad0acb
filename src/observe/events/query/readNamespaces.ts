/**
 * Namespaces that a reader of the access record log may see. The API, which authorises readers, sends them with each query on
 * ingest's UNIX socket, in a header that it never forwards from a client. A query without the header is refused.
 */
import type { IncomingMessage } from "node:http";
import { WeirError } from "../../../error.js";
import { NAMESPACES_HEADER_BYTES_MAX } from "../../../limits/index.js";
import { headerValues } from "../http.js";

export const NAMESPACES_HEADER = "x-weir-namespaces";

/** null = all, and records without a namespace. */
export type ReadNamespaces = readonly string[] | null;

const ALL = "*";
const NAME = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/;

/** @throws WeirError `resource-exhausted` if the list exceeds the header limit */
export function encodeNamespaces(namespaces: ReadNamespaces): string {
	const value = namespaces === null ? ALL : namespaces.join(",");
	if (value.length <= NAMESPACES_HEADER_BYTES_MAX) return value;
	throw new WeirError("resource-exhausted", "you may read too many namespaces by name", "bind fewer, or read in '*'");
}

/** @throws WeirError `permission-denied` if the header is missing, repeated or malformed */
export function readNamespacesOf(request: Pick<IncomingMessage, "rawHeaders">): ReadNamespaces {
	const values = headerValues(request, NAMESPACES_HEADER);
	const [value = ""] = values;
	if (values.length === 1 && value === ALL) return null;
	const names = value.split(",");
	if (values.length === 1 && names.every((name) => NAME.test(name))) return names;
	throw new WeirError(
		"permission-denied",
		"the query of the access record log names no namespaces",
		"ask control's API, which adds the namespaces that you may read",
	);
}
