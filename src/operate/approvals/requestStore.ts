/** Requests in the state file, and the operations of pending ones. Writes run inside the caller's transaction. */
import { randomBytes } from "node:crypto";
import { WeirError } from "../../error.js";
import type { Caller } from "../callers/caller.js";
import type { StateDatabase } from "../state/store/database.js";
import type { ApprovalRequest, Operation, WaitingRequest } from "./request.js";
import { type Authorisation, fingerprint } from "./required.js";

/** Effects that an approval request lists; its documents have the rest. */
const APPROVAL_EFFECTS_SHOWN_MAX = 20;

/** Approval requests that are pending. */
const APPROVAL_REQUESTS_PENDING_MAX = 200;

/** Documents of all pending approval requests. */
const APPROVAL_CONTENT_BYTES_MAX = 256 * 1024 * 1024;

/** Closed approval requests that are kept; the oldest are dropped first. */
const APPROVAL_REQUESTS_ENDED_MAX = 1_000;

/** How long a closed approval request (done, rejected, void) is kept; the audit log keeps its operations. */
const APPROVAL_REQUEST_KEPT_MS = 30 * 24 * 60 * 60 * 1000;

export class RequestStore {
	/** By id. */
	readonly #requests;
	/** Operations that wait for approval, by the id of their request. */
	readonly #operations;

	constructor(database: Pick<StateDatabase, "table">) {
		this.#requests = database.table<ApprovalRequest>("requests");
		this.#operations = database.table<Operation>("operations");
	}

	/**
	 * Creates a request; a duplicate by the same person returns the pending one.
	 * @throws WeirError `resource-exhausted` if too many are pending
	 */
	ask(
		asked: {
			readonly askedBy: Caller;
			readonly operation: Operation;
			readonly authorisation: Authorisation;
			readonly revision: number;
		},
		nowMs: number,
	): WaitingRequest {
		const { askedBy, operation, revision } = asked;
		const { namespaces, effects, fingerprints, approvals } = asked.authorisation;
		const question = fingerprint([operation, fingerprints]);
		const waiting = this.#prune(nowMs);
		const same = waiting.find((one) => one.question === question && one.askedBy.subject === askedBy.subject);
		if (same !== undefined) return { ...same, operation };
		const more = effects.length - APPROVAL_EFFECTS_SHOWN_MAX;
		const request: ApprovalRequest = {
			id: randomBytes(8).toString("hex"),
			verb: operation.verb,
			askedBy,
			askedAtMs: nowMs,
			expiresAtMs: Math.min(nowMs + approvals.expireMs, Number.MAX_SAFE_INTEGER),
			namespaces,
			effects: [...effects.slice(0, APPROVAL_EFFECTS_SHOWN_MAX), ...(more > 0 ? [`and ${more} more`] : [])],
			reason: "experiment" in operation ? operation.reason : "",
			revision,
			fingerprints,
			question,
			needsIn: approvals.needsIn,
			approvals: [],
			state: "pending",
			why: "",
			endedAtMs: null,
			bytes: Buffer.byteLength(JSON.stringify(operation)),
		};
		demandQuota(waiting, request);
		this.#operations.putSync(request.id, operation);
		this.put(request);
		return { ...request, operation };
	}

	/** Drops the content of an ended request: the audit log and the history have its effect. */
	put(request: ApprovalRequest): void {
		if (request.state !== "pending") this.#operations.removeSync(request.id);
		this.#requests.putSync(request.id, request);
	}

	/** The request at that time: void if it has expired. */
	get(id: string, nowMs: number): ApprovalRequest | null {
		const found = /^[0-9a-f]{16}$/.test(id) ? this.#requests.get(id) : undefined;
		return found === undefined ? null : current(found, nowMs);
	}

	/** null = no longer pending. */
	operation({ id, state }: ApprovalRequest): Operation | null {
		return state === "pending" ? (this.#operations.get(id) ?? null) : null;
	}

	/** Oldest first. */
	all(nowMs: number): readonly ApprovalRequest[] {
		return [...this.#requests.getRange()]
			.map(({ value }) => current(value, nowMs))
			.sort((a, b) => a.askedAtMs - b.askedAtMs || (a.id < b.id ? -1 : 1));
	}

	/** Drops ended requests that are old or too many. @returns the pending ones */
	#prune(nowMs: number): readonly ApprovalRequest[] {
		const all = this.all(nowMs);
		const ended = all.filter(({ state }) => state !== "pending");
		ended.sort((a, b) => Number(b.endedAtMs) - Number(a.endedAtMs));
		for (const [index, one] of ended.entries()) {
			this.#operations.removeSync(one.id);
			const isOld = Number(one.endedAtMs) < nowMs - APPROVAL_REQUEST_KEPT_MS;
			if (isOld || index >= APPROVAL_REQUESTS_ENDED_MAX) this.#requests.removeSync(one.id);
		}
		return all.filter(({ state }) => state === "pending");
	}
}

function current(request: ApprovalRequest, nowMs: number): ApprovalRequest {
	if (request.state !== "pending" || nowMs < request.expiresAtMs) return request;
	return { ...request, state: "void", why: "it has expired", endedAtMs: request.expiresAtMs };
}

function demandQuota(waiting: readonly ApprovalRequest[], asked: ApprovalRequest): void {
	const bytes = waiting.reduce((sum, one) => sum + one.bytes, asked.bytes);
	if (waiting.length >= APPROVAL_REQUESTS_PENDING_MAX || bytes > APPROVAL_CONTENT_BYTES_MAX)
		throw new WeirError(
			"resource-exhausted",
			"too many requests wait for approval",
			"approve or reject some first: weir requests",
		);
}
