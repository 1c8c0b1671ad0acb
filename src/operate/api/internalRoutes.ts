/**
 * The internal API for the other roles of control, on a UNIX socket that only this user can open: the port StateStore
 * over HTTP, and the metric names for ingest. Callers are parts of Weir, so only the shape of bodies is checked.
 */

import { randomUUID } from "node:crypto";
import type { PlanTable } from "../../compile/table/plan.js";
import type { ProxyStatus } from "../../decide/rollout/ports.js";
import { WeirError } from "../../error.js";
import { CALLER_SUBJECT_CHARS_MAX, STATE_LONG_POLL_MS_MAX, TABLE_BYTES_MAX } from "../../limits/index.js";
import type { NewAuditRecord } from "../audit/auditRecord.js";
import type { Publication } from "../state/publication.js";
import type { NewDecision } from "../state/store/decisionLog.js";
import type { Store } from "../state/store/store.js";
import { type Answer, type Call, ok, onlyQuery, readObject, wholeNumber } from "./http.js";

/** Body of a plan that xds submits: TABLE_BYTES_MAX, and a margin for multi-byte characters. */
export const PLAN_BODY_BYTES_MAX = TABLE_BYTES_MAX + 64 * 1024;

/**
 * A report of xds: the errors of XDS_STREAMS_MAX clients, and each closed Service of a table once, which takes less
 * space than in the table.
 */
const PROXIES_BODY_BYTES_MAX = 2 * TABLE_BYTES_MAX;

/** @throws WeirError `not-found` for an unknown path or method. */
export async function answerInternal(
	store: Store,
	publication: Publication,
	call: Omit<Call, "caller">,
): Promise<Answer> {
	const { method, path, query } = call;
	const [root, noun = "", version] = path;
	if (root === "internal" && path.length === 2) {
		switch (`${method} ${noun}`) {
			case "GET state": {
				onlyQuery(query, ["after", "waitMs"]);
				const after = wholeNumber(query, "after", -1, -1, Number.MAX_SAFE_INTEGER);
				const waitMs = wholeNumber(query, "waitMs", 0, 0, STATE_LONG_POLL_MS_MAX);
				return ok({ state: await store.state(after, waitMs, call.signal) });
			}
			case "POST decide":
				return ok(await store.decide(parseDecide(await readObject(call))));
			case "POST acknowledge": {
				const fields = { revision: "number", atMs: "number", closed: "object" } as const;
				const body = exactly(await readObject(call), fields);
				if (!Array.isArray(body.closed)) throw new WeirError("invalid-argument", "closed must be a list");
				await store.acknowledge(Number(body.revision), Number(body.atMs), body.closed.map(String));
				return ok({});
			}
			case "POST published": {
				publication.told(Number(exactly(await readObject(call), { revision: "number" }).revision));
				return ok({});
			}
			case "GET proxies":
				onlyQuery(query, []);
				return ok({ proxies: store.proxies.proxies });
			case "POST proxies": {
				const body = await readObject(call, PROXIES_BODY_BYTES_MAX);
				const { proxies } = exactly(body, { proxies: "object" });
				if (!Array.isArray(proxies)) throw new WeirError("invalid-argument", "proxies must be a list");
				await store.reportProxies(proxies as readonly ProxyStatus[]);
				return ok({});
			}
			case "POST refused-stream": {
				const body = exactly(await readObject(call), { id: "string", reason: "string", atMs: "number" });
				recordRefusal(store, {
					atMs: Number(body.atMs),
					subject: String(body.id),
					how: body.id === "" ? null : "mtls",
					verb: "connect",
					object: "xds",
					why: String(body.reason),
				});
				return ok({});
			}
			case "POST refused-configuration": {
				const fields = { node: "string", type: "string", source: "string", error: "string", atMs: "number" } as const;
				const body = exactly(await readObject(call), fields);
				recordRefusal(store, {
					atMs: Number(body.atMs),
					subject: String(body.node),
					how: null,
					verb: "take",
					object: body.source === "" ? String(body.type) : `${body.type} of ${body.source}`,
					why: String(body.error),
				});
				return ok({});
			}
			case "GET plans":
				onlyQuery(query, []);
				return ok({ table: store.newestPlan });
			case "GET untold":
				onlyQuery(query, []);
				return ok({ untold: await store.pending() });
			case "POST told": {
				const body = exactly(await readObject(call), { key: "string" });
				await store.delivered(String(body.key));
				return ok({});
			}
			case "GET metrics-names":
				onlyQuery(query, []);
				return ok({ revision: store.current.revision, metrics: store.metricNames });
		}
	}
	if (root === "internal" && noun === "plans" && version !== undefined && path.length === 3) {
		if (method === "GET") return ok({ table: await store.plan(version) });
		if (method === "PUT") {
			const table = exactly(await readObject(call, PLAN_BODY_BYTES_MAX), { gateways: "object", services: "object" });
			for (const field of ["gateways", "services"]) {
				if (!Array.isArray(table[field])) throw new WeirError("invalid-argument", `${field} must be a list`);
			}
			await store.keepPlan(version, table as unknown as PlanTable);
			return ok({});
		}
	}
	if (root === "internal" && noun === "untold" && version !== undefined && path.length === 3 && method === "GET")
		return ok({ message: await store.message(version) });
	throw new WeirError("not-found", `no ${method} /${path.join("/").slice(0, 200)} here`);
}

/** Audits a refusal that no operator caused: an xDS stream, or an Envoy's NACK. */
function recordRefusal(
	store: Store,
	refused: Pick<NewAuditRecord, "atMs" | "how" | "verb" | "why"> & {
		readonly subject: string;
		readonly object: string;
	},
): void {
	const { atMs, subject, how, verb, object, why } = refused;
	const { revision } = store.current;
	store.audit.append({
		...{ atMs, how, verb, call: randomUUID(), namespaces: [], revisionBefore: revision, revisionAfter: revision },
		subject: subject === "" ? null : subject.slice(0, CALLER_SUBJECT_CHARS_MAX),
		objects: [object.slice(0, CALLER_SUBJECT_CHARS_MAX)],
		result: "refused",
		why: why.slice(0, CALLER_SUBJECT_CHARS_MAX),
		...{ request: null, askedBy: null, approvedBy: [] },
	});
}

function parseDecide(body: Readonly<Record<string, unknown>>): NewDecision & { readonly expectedRevision: number } {
	exactly(body, {
		experiment: "string",
		expectedRevision: "number",
		by: "string",
		atMs: "number",
		input: "object",
		outcome: "object",
	});
	if (body.outcome === null) throw new WeirError("invalid-argument", "outcome must be an object");
	return body as unknown as NewDecision & { readonly expectedRevision: number };
}

/** Checks that the body has exactly these fields and types. `object` includes null and lists. */
function exactly(
	body: Readonly<Record<string, unknown>>,
	fields: Readonly<Record<string, "string" | "number" | "object">>,
): Readonly<Record<string, unknown>> {
	for (const name of Object.keys(body)) {
		if (!Object.hasOwn(fields, name)) throw new WeirError("invalid-argument", `unknown field '${name}'`);
	}
	for (const [name, type] of Object.entries(fields)) {
		if (!Object.hasOwn(body, name)) throw new WeirError("invalid-argument", `${name} is missing`);
		if (typeof body[name] !== type) throw new WeirError("invalid-argument", `${name} must be of type ${type}`);
	}
	return body;
}
