/** Checks rights by the RoleBindings. A caller without the right gets an error, and the attempt is recorded. */

import { memoizeByName } from "../../../declare/resources/memoize.js";
import type { OperatorVerb } from "../../../declare/resources/resource.js";
import { WeirError } from "../../../error.js";
import { type AuditedCall, record } from "../../audit/actRecord.js";
import type { Caller } from "../../callers/caller.js";
import type { MayRead } from "../../callers/hiddenNames.js";
import type { Store } from "../store/store.js";
import { ALL_NAMESPACES, type Need, type Permissions } from "./permissions.js";

const ASK_HINT = "ask an admin for a RoleBinding";
/** Not the next best grant: it would show every tenant to a user who looks for something of their own. */
const READ_ALL_HINT =
	"it shows all namespaces together, and the RoleBinding in '*' that it needs shows all of them: ask an operator who has it; weir status, audit requests and policy shadow show your own";

export class Rights {
	constructor(
		private readonly store: Store,
		readonly permissions: Permissions,
	) {}

	/** Whether the subject has the right now; nothing is recorded. */
	may(caller: Caller, need: Need): boolean {
		return this.permissions.may(caller, need, this.store.current.resources);
	}

	mayRead(caller: Caller): MayRead {
		const { resources } = this.store.current;
		return memoizeByName((namespace) => this.permissions.may(caller, { verb: "read", namespace }, resources));
	}

	/** The namespaces that the caller may read; null = all of them, and what belongs to none. */
	readable(caller: Caller): readonly string[] | null {
		return this.permissions.readable(caller, this.store.current.resources);
	}

	/** Whether the subject has the verb in any namespace. */
	maySome(caller: Caller, verb: OperatorVerb): boolean {
		return this.permissions.mayAnywhere(caller, verb, this.store.current.resources);
	}

	/** A mark for answers that leave out what the caller may not read. */
	partly(caller: Caller): { readonly partial?: true } {
		return this.readable(caller) === null ? {} : { partial: true };
	}

	/**
	 * Before an answer that leaves out what the caller may not read: who may read nothing would take it for all there is.
	 * @throws WeirError `permission-denied`; recorded once a minute, for such answers are asked for again and again
	 */
	demandSomeRead(call: AuditedCall, objects: readonly string[]): void {
		if (this.maySome(call.caller, "read")) return;
		this.#deny(call, { verb: "read", namespaces: [], objects }, "read in at least one namespace", { once: true });
	}

	mayApprove(caller: Caller, namespace: string): boolean {
		return this.may(caller, { verb: "approve", namespace });
	}

	isSamePerson(one: Caller, other: Caller): boolean {
		return this.permissions.personOf(one) === this.permissions.personOf(other);
	}

	/** @throws WeirError `permission-denied`, recorded. */
	demand(call: AuditedCall, needs: readonly Need[], verb: string, objects: readonly string[]): void {
		const { resources } = this.store.current;
		const missing = needs.find((need) => !this.permissions.may(call.caller, need, resources));
		if (missing === undefined) return;
		const where = missing.namespace === ALL_NAMESPACES ? "all namespaces ('*')" : `namespace ${missing.namespace}`;
		const to = missing.to === undefined ? "" : ` to ${missing.to}`;
		const namespaces = [...new Set(needs.map(({ namespace }) => namespace))];
		const readsAll = missing.namespace === ALL_NAMESPACES && missing.verb === "read";
		const hint = readsAll ? READ_ALL_HINT : ASK_HINT;
		this.#deny(call, { verb, namespaces, objects }, `${missing.verb} in ${where}${to}`, { hint });
	}

	/** A request that another role executes: it changes nothing here, and is audited once a minute. */
	recordDone(call: AuditedCall, verb: string, objects: readonly string[]): void {
		const { revision } = this.store.current;
		const made = record(call, { verb, namespaces: [ALL_NAMESPACES], objects, revision, result: "done" });
		this.store.atomically(() => this.store.audit.appendOnce(made));
	}

	/**
	 * Turns away who may apply nothing anywhere, before a document is read: reading is the dear part.
	 * @throws WeirError `permission-denied`, recorded.
	 */
	demandSome(call: AuditedCall, verb: string, object: string): void {
		if (!this.maySome(call.caller, "apply")) {
			this.#deny(call, { verb, namespaces: [], objects: [object] }, "apply in at least one namespace");
		}
	}

	/**
	 * For what no RoleBinding gives.
	 * @param doing.what `start with files`
	 * @throws WeirError `permission-denied`, recorded, for all but the socket's owner
	 */
	demandOwner(
		call: AuditedCall,
		verb: string,
		object: string,
		doing: { readonly what: string; readonly hint: string },
	): void {
		if (call.caller.how === "socket") return;
		const why = `only who owns the socket can ${doing.what}`;
		this.#recordRefused(call, { verb, namespaces: [], objects: [object], why }, false);
		throw new WeirError("permission-denied", why, doing.hint);
	}

	/**
	 * A resource that the caller may not read is reported as not found, and the attempt is recorded; a
	 * read once a minute.
	 * @throws WeirError `unseen`
	 */
	denyUnseen(
		call: AuditedCall,
		what: { readonly verb: string; readonly namespaces: readonly string[]; readonly objects: readonly string[] },
		unseen: WeirError,
	): never {
		const why = `${call.caller.subject} needs the verb read there; the answer was "not found"`;
		this.#recordRefused(call, { ...what, why }, what.verb === "read");
		throw unseen;
	}

	#deny(
		call: AuditedCall,
		what: { readonly verb: string; readonly namespaces: readonly string[]; readonly objects: readonly string[] },
		needed: string,
		{ once = false, hint = ASK_HINT }: { readonly once?: boolean; readonly hint?: string } = {},
	): never {
		const why = `${call.caller.subject} needs the verb ${needed}`;
		this.#recordRefused(call, { ...what, why }, once);
		throw new WeirError("permission-denied", why, hint);
	}

	#recordRefused(
		call: AuditedCall,
		what: Pick<Parameters<typeof record>[1], "verb" | "namespaces" | "objects" | "why">,
		once: boolean,
	): void {
		const made = record(call, { ...what, revision: this.store.current.revision, result: "refused" });
		const { audit } = this.store;
		this.store.atomically(() => (once ? audit.appendOnce(made) : audit.append(made)));
	}
}
