/** Paths that other roles serve behind the API's listeners. Rights and methods are checked here. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { WeirError } from "../../error.js";
import type { AuditedCall } from "../audit/actRecord.js";
import type { Caller } from "../callers/caller.js";
import { ALL_NAMESPACES } from "../state/rights/permissions.js";
import type { Rights } from "../state/rights/rights.js";
import { auditedPath, demandNoBody, MethodNotAllowed } from "./http.js";

/** @param readable only with `needs: "namespaces"`: the readable namespaces; null = all, and data that belongs to none */
export type Handle = (
	request: IncomingMessage,
	response: ServerResponse,
	caller: Caller,
	readable?: readonly string[] | null,
) => void | Promise<void>;

/**
 * A bare function needs `read` in all namespaces, by GET or HEAD. `identity`: any authenticated caller; the handler
 * checks the rest. `namespaces`: `read` in some; the handler answers for these only. Other methods and unexpected
 * bodies are refused before the handler.
 */
export type Mount =
	| Handle
	| {
			readonly handle: Handle;
			readonly needs: "identity" | "read" | "namespaces";
			readonly methods: readonly string[];
			/** Whether a request may have a body. */
			readonly takesBody?: boolean;
			/** The audit verb of a mount that changes something; only the exact path is served. */
			readonly recorded?: string;
	  };

/** @throws WeirError `permission-denied`, recorded, `not-found` MethodNotAllowed, and the errors of its handler */
export async function forward(
	rights: Rights,
	[prefix, mount]: readonly [string, Mount],
	request: IncomingMessage,
	response: ServerResponse,
	call: AuditedCall,
): Promise<void> {
	const { handle, needs, methods, takesBody, recorded }: Exclude<Mount, Handle> =
		typeof mount === "function" ? { handle: mount, needs: "read", methods: ["GET", "HEAD"] } : mount;
	const objects = [auditedPath(request)];
	if (needs === "read") rights.demand(call, [{ verb: "read", namespace: ALL_NAMESPACES }], recorded ?? "read", objects);
	if (needs === "namespaces") rights.demandSomeRead(call, objects);
	if (recorded !== undefined && request.url !== prefix) {
		throw new WeirError("not-found", `no ${objects[0]} here`, `ask for ${prefix}`);
	}
	if (!methods.includes(request.method ?? "")) {
		throw new MethodNotAllowed(`no ${request.method} of ${objects[0]} here`, methods);
	}
	if (takesBody !== true) demandNoBody(request);
	if (recorded !== undefined) rights.recordDone(call, recorded, objects);
	if (needs === "namespaces") await handle(request, response, call.caller, rights.readable(call.caller));
	else await handle(request, response, call.caller);
}

/** Compares whole path segments. */
export function isUnder(target: string, prefix: string): boolean {
	const path = target.split("?", 1)[0] ?? "";
	return path === prefix || path.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);
}
