/**
 * The requests in the state file: heads, which are read to list and to ask, and contents, read by id, of those that wait and
 * of those that were done: what an approver let happen can be held against what is there now. What did not happen has none.
 * Of what is over each namespace keeps so many, and so many bytes. What writes runs inside the caller's transaction.
 */
import { randomBytes } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { WeirError } from "../../error.js";
import {
	APPROVAL_CONTENT_BYTES_MAX,
	APPROVAL_DONE_CONTENT_BYTES_MAX,
	APPROVAL_DONE_CONTENT_BYTES_PER_NAMESPACE_MAX,
	APPROVAL_HEAD_EFFECTS_MAX,
	APPROVAL_REQUEST_KEPT_MS,
	APPROVAL_REQUESTS_ENDED_MAX,
	APPROVAL_REQUESTS_ENDED_PER_NAMESPACE_MAX,
	APPROVAL_REQUESTS_PENDING_MAX,
} from "../../limits.js";
import type { StateDatabase, WholeRequest } from "../store/database.js";
import {
	type ApprovalRequest,
	isWish,
	type RequestContent,
	type RequestHead,
	type Requirement,
	sameActAs,
	underPolicies,
	type WaitingRequest,
} from "./approval.js";

export class ApprovalShelf {
	readonly #database: StateDatabase;
	/** Whoever has asked for what is kept, and perhaps some whose requests are not any more; null = not read yet. */
	#askers: Set<string> | null = null;

	constructor(database: StateDatabase) {
		this.#database = database;
		this.#takeOver();
	}

	/**
	 * The same act of the same person does not wait twice: as it waits already, with its approvals, or anew where what it would
	 * change, the reason or what its asker may do is otherwise now. What nobody has approved yet waits its whole time from now on,
	 * and where it is replaced it leaves no head: else who asks pushes out what others have ended. The audit log has it.
	 * @throws WeirError `resource-exhausted` where too much waits already
	 */
	ask(
		asked: Pick<WaitingRequest, "askedBy" | "namespaces" | "governedBy" | "revision"> & RequestContent,
		{ needs, needsIn, expireMs }: Requirement,
		nowMs: number,
	): WaitingRequest {
		const text = contentOf(asked);
		const sameAct = sameActAs(asked.act);
		const waiting = this.#prune(nowMs);
		const expiresAtMs = Math.min(nowMs + expireMs, Number.MAX_SAFE_INTEGER);
		const same = waiting.find((one) => one.sameAct === sameAct && one.askedBy.subject === asked.askedBy.subject);
		if (same !== undefined) {
			const isAsItWas =
				this.#database.requestContents.get(same.id) === text &&
				isDeepStrictEqual([same.askedBy, same.needsIn], [asked.askedBy, needsIn]);
			if (isAsItWas) {
				const kept = isApproved(same) ? same : { ...same, expiresAtMs };
				if (kept !== same) this.put(bare(kept));
				return { ...kept, ...(JSON.parse(text) as RequestContent) };
			}
		}
		const request: WaitingRequest = {
			...asked,
			id: randomBytes(8).toString("hex"),
			verb: asked.act.verb,
			sameAct,
			...(isWish(asked.act) ? {} : { reason: asked.act.reason }),
			askedAtMs: nowMs,
			expiresAtMs,
			effectCount: asked.effects.length,
			needs,
			needsIn,
			underPolicies: underPolicies(asked),
			approvals: [],
			state: "pending",
			why: "",
			endedAtMs: null,
			bytes: isWish(asked.act) ? Buffer.byteLength(text) : 0,
		};
		const others = waiting.filter((one) => one !== same);
		const bytes = others.reduce((sum, one) => sum + one.bytes, request.bytes);
		if (others.length >= APPROVAL_REQUESTS_PENDING_MAX || bytes > APPROVAL_CONTENT_BYTES_MAX)
			throw new WeirError("resource-exhausted", "too many requests wait for approval", "end some first: weir requests");
		if (same !== undefined) {
			if (isApproved(same))
				this.put({ ...bare(same), state: "void", why: `asked for again: ${request.id}`, endedAtMs: nowMs });
			else this.#drop(same.id);
		}
		this.#database.requestContents.putSync(request.id, text);
		this.put(request);
		return request;
	}

	/** Its head, for the content never changes; of one that is over, and was not done, that goes. */
	put(request: ApprovalRequest): void {
		this.#put(request, hasContent(request));
	}

	#put({ act: _, basis: __, ...head }: ApprovalRequest, isKept: boolean): void {
		this.#askers?.add(head.askedBy.subject);
		if (!isKept) this.#database.requestContents.removeSync(head.id);
		this.#database.requestHeads.putSync(head.id, {
			...head,
			effects: head.effects.slice(0, APPROVAL_HEAD_EFFECTS_MAX),
			parts: head.parts.slice(0, APPROVAL_HEAD_EFFECTS_MAX),
			bytes: isKept ? head.bytes : 0,
		});
	}

	/** As it stands at that moment, with its content as far as that is kept: one whose time is over is void. */
	get(id: string, nowMs: number): ApprovalRequest | null {
		const found = /^[0-9a-f]{16}$/.test(id) ? this.#database.requestHeads.get(id) : undefined;
		if (found === undefined) return null;
		const head = standing(found, nowMs);
		const text = hasContent(head) ? this.#database.requestContents.get(id) : undefined;
		return text === undefined ? bare(head) : { ...head, ...(JSON.parse(text) as RequestContent) };
	}

	/** Without contents; oldest first. */
	all(nowMs: number): readonly ApprovalRequest[] {
		return [...this.#database.requestHeads.getRange()]
			.map(({ value }) => bare(standing(value, nowMs)))
			.sort((a, b) => a.askedAtMs - b.askedAtMs || (a.id < b.id ? -1 : 1));
	}

	/** Those that the subject has asked for; of who has asked for none no request is read. */
	askedBy(subject: string, nowMs: number): readonly ApprovalRequest[] {
		this.#askers ??= new Set(this.all(nowMs).map(({ askedBy }) => askedBy.subject));
		return this.#askers.has(subject) ? this.all(nowMs).filter(({ askedBy }) => askedBy.subject === subject) : [];
	}

	/** Drops what is over and old, or more than is kept; a namespace pushes out no other's. @returns what waits */
	#prune(nowMs: number): readonly RequestHead[] {
		const { requestContents } = this.#database;
		const all = this.all(nowMs);
		const ended = all.filter(({ endedAtMs }) => endedAtMs !== null);
		const kept = new Map<string, number>();
		const bytes = new Map<string, number>();
		let [count, bytesOfAll] = [0, 0];
		for (const one of ended.sort((a, b) => Number(b.endedAtMs) - Number(a.endedAtMs))) {
			const isOld = Number(one.endedAtMs) < nowMs - APPROVAL_REQUEST_KEPT_MS;
			const isFull = one.governedBy.every(
				(namespace) => (kept.get(namespace) ?? 0) >= APPROVAL_REQUESTS_ENDED_PER_NAMESPACE_MAX,
			);
			if (isOld || isFull || count >= APPROVAL_REQUESTS_ENDED_MAX) {
				this.#drop(one.id);
				continue;
			}
			count++;
			for (const namespace of one.governedBy) kept.set(namespace, (kept.get(namespace) ?? 0) + 1);
			if (!requestContents.doesExist(one.id)) continue;
			// Its time is over, and nobody has written that yet.
			if (!hasContent(one)) {
				this.put(one);
				continue;
			}
			bytesOfAll += one.bytes;
			for (const namespace of one.governedBy) bytes.set(namespace, (bytes.get(namespace) ?? 0) + one.bytes);
			const isTooMuch =
				bytesOfAll > APPROVAL_DONE_CONTENT_BYTES_MAX ||
				one.governedBy.every(
					(namespace) => (bytes.get(namespace) ?? 0) > APPROVAL_DONE_CONTENT_BYTES_PER_NAMESPACE_MAX,
				);
			if (isTooMuch) this.#put(one, false);
		}
		return all.filter(({ state }) => state === "pending");
	}

	#drop(id: string): void {
		this.#database.requestHeads.removeSync(id);
		this.#database.requestContents.removeSync(id);
	}

	/** An earlier Weir kept requests whole, also those that were over. One by one, and may be cut anywhere. */
	#takeOver(): void {
		const { requests, requestContents, transaction } = this.#database;
		for (const id of [...requests.getKeys()])
			transaction(() => {
				const kept = requests.get(id);
				if (kept !== undefined) {
					const request = fromWhole(kept);
					const waits = request.state === "pending";
					if (waits) requestContents.putSync(id, contentOf(request));
					this.#put(request, waits);
				}
				requests.removeSync(id);
			});
	}
}

const contentOf = ({ act, effects, parts, basis }: RequestContent): string =>
	JSON.stringify({ act, effects, parts, basis } satisfies RequestContent);

const hasContent = ({ state }: RequestHead): boolean => state === "pending" || state === "done";

const isApproved = ({ approvals }: RequestHead): boolean => approvals.length > 0;

const bare = (head: RequestHead): ApprovalRequest => ({ ...head, act: null, basis: {} });

function standing(head: RequestHead, nowMs: number): RequestHead {
	if (head.state !== "pending" || nowMs < head.expiresAtMs) return head;
	return { ...head, state: "void", why: "its time is over", endedAtMs: head.expiresAtMs };
}

/** The oldest ones are of all their namespaces, and told whole or not at all. */
function fromWhole(kept: WholeRequest): WaitingRequest {
	const {
		needsIn = Object.fromEntries(kept.namespaces.map((one) => [one, kept.needs])),
		parts = [],
		governedBy = kept.namespaces,
	} = kept;
	const request = { ...kept, needsIn, parts, governedBy };
	return {
		...request,
		verb: kept.act.verb,
		effectCount: kept.effects.length,
		underPolicies: underPolicies(request),
		bytes: isWish(kept.act) ? Buffer.byteLength(contentOf(request)) : 0,
	};
}
