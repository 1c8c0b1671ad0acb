/**
 * One resource type on one ADS stream: subscription, nonces, ACK and NACK, without I/O. At most one response is in
 * flight; later changes are merged into the next.
 * "Full" types (clusters, listeners) send all resources each time, because absence means deletion; the others only
 * changed ones (Envoy's docs, "xDS protocol").
 */

import { printableText } from "./printableText.js";
import { type Rejection, rejectedOf, sourceOf } from "./rejection.js";
import type { EncodedResource, TypeName } from "./resource.js";
import { type View, viewVersion } from "./snapshot.js";
import { Subscription } from "./subscription.js";

/** The fields of a DiscoveryRequest that the protocol needs. */
export interface Request {
	readonly type: TypeName;
	readonly version: string;
	readonly nonce: string;
	readonly names: readonly string[];
	/** Error message of a NACK as received; null = no error_detail, which alone makes a NACK. */
	readonly error: string | null;
	/** Services that a sidecar could not accept while it accepted the rest of the table; left out = none. */
	readonly closed?: readonly SidecarClosure[];
}

export interface SidecarClosure {
	readonly service: string;
	/** The client's error message. */
	readonly why: string;
}

export interface Response {
	readonly type: TypeName;
	readonly version: string;
	readonly nonce: string;
	readonly resources: readonly EncodedResource[];
}

interface Flight {
	readonly response: Response;
	readonly sentAtMs: number;
	/** What the client held before. A NACK restores it. */
	readonly before: View;
	/** The client did not answer in time. Acceptance is assumed so that other types need not wait. */
	readonly assumed: boolean;
}

/** How a request answers the newest response of its type; none = it does not answer it. */
export type Verdict = "ack" | "nack" | "none";

export class Channel {
	readonly subscription: Subscription;
	/** Set by the first request. */
	requested = false;
	/** What the client holds, by its acknowledgements. */
	accepted: View = new Map();
	/** The client connected with a version that this server does not know, so what it holds is unknown. */
	opaque = false;
	/** The client held something before this stream. */
	cameWithState = false;
	/** Names in the first request of such a client that it still subscribes to. It may hold these resources. */
	initialNames: ReadonlySet<string> = new Set();
	rejections: ReadonlyMap<string, Rejection> = new Map();
	sentVersion = "";
	acceptedVersion = "";
	#flight: Flight | null = null;
	#lastNonce = "";
	/** What was last sent, by name. */
	#sent: View = new Map();
	/** Send even if unchanged: newly subscribed, or a cluster's endpoints after the cluster: Envoy warms it by them. */
	#due = new Set<string>();
	#wildcardDue = false;
	/** Resources of a rejected response, sent again one by one to find the bad one. */
	#singly = new Set<string>();
	#rejectedVersion: string | null = null;

	constructor(
		readonly type: TypeName,
		readonly full: boolean,
		readonly ackTimeoutMs: number,
	) {
		this.subscription = new Subscription(full);
	}

	/** @param recall the view of a version that this server sent earlier, on any stream */
	take(request: Request, recall: (version: string) => View | null): Verdict {
		// S3: a stale nonce is ignored. The client's answer to the newest response is on its way.
		if (this.requested && request.nonce !== this.#lastNonce) return "none";
		if (!this.requested && request.version !== "") {
			this.#remember(request.version, recall(request.version));
			this.initialNames = new Set(request.names);
		}
		this.requested = true;
		const verdict = this.#readAnswer(request);
		const { added, wildcardAdded } = this.subscription.replace(request.names);
		for (const name of added) this.#due.add(name);
		this.#wildcardDue ||= wildcardAdded;
		this.#forget();
		return verdict;
	}

	/** The response in flight; null when it was answered or timed out. */
	get inFlight(): Response | null {
		return this.#flight === null || this.#flight.assumed ? null : this.#flight.response;
	}

	/** Every response has been ACKed or NACKed. */
	get settled(): boolean {
		return this.#flight === null;
	}

	get deadlineMs(): number | null {
		return this.#flight === null || this.#flight.assumed ? null : this.#flight.sentAtMs + this.ackTimeoutMs;
	}

	/** Last content sent under a name. */
	sentHash(name: string): string | null {
		return this.#sent.get(name)?.hash ?? null;
	}

	isDue(name: string): boolean {
		return this.#due.has(name);
	}

	/** O2: sends the resource again if it is subscribed. */
	ask(name: string): void {
		this.#due.add(name);
	}

	/** Assumes acceptance of a response that was not answered in time. */
	expire(nowMs: number): void {
		const flight = this.#flight;
		if (flight === null || flight.assumed || nowMs < flight.sentAtMs + this.ackTimeoutMs) return;
		this.#accept(flight.response.resources);
		this.#flight = { ...flight, assumed: true };
	}

	/** A rejected resource is not sent again before its content changes. */
	isRejected(resource: EncodedResource): boolean {
		return this.rejections.get(resource.name)?.hash === resource.hash;
	}

	/** Tries rejected resources of these sources again: a filter may have caused the rejection. */
	retry(sources: readonly string[]): void {
		const again = [...this.rejections].filter(([, { source }]) => sources.includes(source)).map(([name]) => name);
		if (again.length === 0) return;
		this.rejections = new Map([...this.rejections].filter(([name]) => !again.includes(name)));
		this.#sent = new Map([...this.#sent].filter(([name]) => !again.includes(name)));
		this.#rejectedVersion = null;
	}

	/**
	 * @param wanted subscribed resources that the client should hold
	 * @param target all published resources of the type, and their version
	 * @returns null if there is nothing to send (S6) or an answer is awaited
	 */
	respond(
		wanted: View,
		target: { readonly view: View; readonly version: string },
		nonce: string,
		nowMs: number,
	): Response | null {
		if (!this.requested || this.inFlight !== null) return null;
		const resources = this.full ? this.#whole(wanted, target.view) : this.#changed(wanted);
		if (resources === null) return null;
		const after = this.full ? wanted : new Map([...this.#sent, ...byName(resources)]);
		const version = this.#isTarget(after, target.view) ? target.version : viewVersion(after);
		if (this.full && version === this.#rejectedVersion && !this.#hasDue(wanted)) return null;
		const response = { type: this.type, version, nonce, resources };
		this.#flight = { response, sentAtMs: nowMs, before: this.accepted, assumed: false };
		this.#sent = after;
		this.#lastNonce = nonce;
		this.sentVersion = version;
		this.#wildcardDue = false;
		for (const { name } of resources) this.#due.delete(name);
		return response;
	}

	/** What the client holds under a version that it may name on its next stream; null = not sent on this stream. */
	viewOf(version: string): View | null {
		if (version === "") return null;
		if (version === this.sentVersion) return this.#sent;
		return version === this.acceptedVersion ? this.accepted : null;
	}

	/** What this channel has sent so far. */
	get sentView(): View {
		return this.#sent;
	}

	/** Everything if anything changed. An empty first response only for a wildcard; missing names get no answer. */
	#whole(wanted: View, target: View): readonly EncodedResource[] | null {
		const lost = [...this.#sent.keys()].some((name) => this.subscription.wants(name) && !wanted.has(name));
		const changed = [...wanted].some(([name, { hash }]) => this.#sent.get(name)?.hash !== hash);
		if (!lost && !changed && !this.#hasDue(wanted)) return null;
		// Resources may be delayed, not deleted: an empty list would delete what the client still serves.
		if (wanted.size === 0 && target.size > 0 && this.subscription.wildcard) return null;
		return [...wanted.values()];
	}

	#changed(wanted: View): readonly EncodedResource[] | null {
		const due = [...wanted.values()].filter(
			(resource) => this.#due.has(resource.name) || this.#sent.get(resource.name)?.hash !== resource.hash,
		);
		// Envoy acknowledges a filter without reading it if it rejected the same bytes before. So filters are sent one by
		// one.
		const single = this.type === "extensions" ? due[0] : due.find(({ name }) => this.#singly.has(name));
		if (single !== undefined) return [single];
		return due.length === 0 ? null : due;
	}

	#hasDue(wanted: View): boolean {
		return this.#wildcardDue || [...this.#due].some((name) => wanted.has(name));
	}

	/** Whether the client's view is exactly what is published, within its subscription. */
	#isTarget(view: View, target: View): boolean {
		for (const [name, { hash }] of view) if (target.get(name)?.hash !== hash) return false;
		for (const name of target.keys()) if (this.subscription.wants(name) && !view.has(name)) return false;
		return true;
	}

	/** A returning client holds what it last accepted. Everything is sent again anyway. */
	#remember(version: string, view: View | null): void {
		this.acceptedVersion = version;
		this.cameWithState = true;
		if (view === null) this.opaque = true;
		else this.accepted = view;
	}

	#readAnswer(request: Request): Verdict {
		const flight = this.#flight;
		if (flight === null || request.nonce !== flight.response.nonce) return "none";
		this.#flight = null;
		this.opaque = false;
		const { resources, version } = flight.response;
		if (request.error === null) {
			this.accepted = flight.before;
			this.#accept(resources);
			this.acceptedVersion = version;
			for (const { name } of resources) this.#singly.delete(name);
			return "ack";
		}
		this.accepted = flight.before;
		const fresh = resources.filter(({ name, hash }) => flight.before.get(name)?.hash !== hash);
		this.#reject(flight.response, fresh, request.error);
		return "nack";
	}

	/** @param fresh resources of the response that were new to the client */
	#reject({ resources, version }: Response, fresh: readonly EncodedResource[], message: string): void {
		this.#rejectedVersion = version;
		if (!this.full && resources.length > 1) {
			this.#singly = new Set(resources.map(({ name }) => name));
			this.#sent = new Map([...this.#sent].filter(([name]) => !this.#singly.has(name)));
			return;
		}
		// Rejected without anything new in it: the message is about the whole response.
		const bad = rejectedOf(fresh.length > 0 ? fresh : resources, message);
		const rejections = new Map(this.rejections);
		const printable = printableText(message);
		for (const resource of bad) {
			const { name, hash } = resource;
			rejections.set(name, { hash, message: printable, source: sourceOf(resource, this.accepted.get(name), message) });
			this.#singly.delete(name);
		}
		this.rejections = rejections;
		if (!this.full || bad.length === fresh.length) return;
		// Envoy accepted the others.
		const good = resources.filter((resource) => !bad.includes(resource));
		const kept = [...this.accepted.values()].filter(({ name }) => bad.some((resource) => resource.name === name));
		this.accepted = byName([...good, ...kept]);
	}

	#accept(resources: readonly EncodedResource[]): void {
		this.accepted = this.full ? byName(resources) : new Map([...this.accepted, ...byName(resources)]);
	}

	/** Unsubscribed resources are not held, and are sent again after a new subscription. */
	#forget(): void {
		const wanted = ([name]: [string, EncodedResource]) => this.subscription.wants(name);
		this.#sent = new Map([...this.#sent].filter(wanted));
		if (!this.full) this.accepted = new Map([...this.accepted].filter(wanted));
		this.#due = new Set([...this.#due].filter((name) => this.subscription.names.has(name)));
		this.initialNames = new Set([...this.initialNames].filter((name) => this.subscription.names.has(name)));
	}
}

const byName = (resources: readonly EncodedResource[]): View =>
	new Map(resources.map((resource) => [resource.name, resource]));
