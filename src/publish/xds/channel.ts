/**
 * One resource type on one ADS stream: subscription, nonces, ACK and NACK, without any input or output. At most one
 * response is in flight; what comes meanwhile is coalesced into the next. Rule ids are those of
 * shared/reference/controlplane.md section 1, where "full" types (clusters, listeners) send their whole view each
 * time and the others only what changed (G1).
 */
import { blamed, type Rejection, sourceOf } from "./rejection.js";
import type { EncodedResource, TypeName } from "./resource.js";
import { type View, viewVersion } from "./snapshot.js";
import { Subscription } from "./subscription.js";
import { toldWords } from "./words.js";

/** A DiscoveryRequest, as far as the protocol needs it. */
export interface Request {
	readonly type: TypeName;
	readonly version: string;
	readonly nonce: string;
	readonly names: readonly string[];
	/** Words of a NACK, as they were read; null = no error_detail (N1). */
	readonly error: string | null;
	/** Services that a sidecar closes, where it takes the table but for these; left out = none. */
	readonly closed?: readonly ClosedThere[];
}

export interface ClosedThere {
	readonly service: string;
	/** The client's own words. */
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
	/** What the client held before: restored by a NACK. */
	readonly before: View;
	/** The client took too long; its acceptance is assumed so that others need not wait for it. */
	readonly assumed: boolean;
}

/** How a request answers the newest response of its type; none: it does not. */
export type Verdict = "ack" | "nack" | "none";

export class Channel {
	readonly subscription: Subscription;
	/** Set by the first request. */
	requested = false;
	/** What the client holds, as far as it has said so. */
	accepted: View = new Map();
	/** The client came with a version that this server does not remember: it holds something unknown. */
	opaque = false;
	/** The client held something before this stream. */
	cameWithState = false;
	/** What such a client asked for first, as long as it does: it may have it, though nobody here knows. */
	brought: ReadonlySet<string> = new Set();
	rejections: ReadonlyMap<string, Rejection> = new Map();
	sentVersion = "";
	acceptedVersion = "";
	#flight: Flight | null = null;
	#lastNonce = "";
	/** What was last sent, by name. */
	#sent: View = new Map();
	/** Must be sent even if unchanged: newly subscribed (W6), or a cluster's endpoints after the cluster (O2). */
	#asked = new Set<string>();
	#wildcardAsked = false;
	/** Parts of a response that was rejected as a whole, sent again one by one to find the bad one. */
	#singly = new Set<string>();
	#rejectedVersion: string | null = null;

	constructor(
		readonly type: TypeName,
		readonly full: boolean,
		readonly ackTimeoutMs: number,
	) {
		this.subscription = new Subscription(full);
	}

	/** @param recall the view behind a version that this server sent earlier, on any stream. */
	take(request: Request, recall: (version: string) => View | null): Verdict {
		// S3: a stale nonce is not answered and changes nothing; the client's answer to the newest is on its way.
		if (this.requested && request.nonce !== this.#lastNonce) return "none";
		if (!this.requested && request.version !== "") {
			this.#remember(request.version, recall(request.version));
			this.brought = new Set(request.names);
		}
		this.requested = true;
		const verdict = this.#judge(request);
		const { added, wildcardAdded } = this.subscription.replace(request.names);
		for (const name of added) this.#asked.add(name);
		this.#wildcardAsked ||= wildcardAdded;
		this.#forget();
		return verdict;
	}

	/** The response that is on its way, null when it was answered or took too long. */
	get inFlight(): Response | null {
		return this.#flight === null || this.#flight.assumed ? null : this.#flight.response;
	}

	/** Everything that was sent has been ACKed or NACKed. */
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

	isAsked(name: string): boolean {
		return this.#asked.has(name);
	}

	/** O2: must be sent again when it is subscribed. */
	ask(name: string): void {
		this.#asked.add(name);
	}

	/** Assumes acceptance of a response that was not answered in time. */
	expire(nowMs: number): void {
		const flight = this.#flight;
		if (flight === null || flight.assumed || nowMs < flight.sentAtMs + this.ackTimeoutMs) return;
		this.#accept(flight.response.resources);
		this.#flight = { ...flight, assumed: true };
	}

	/** A rejected resource is not sent again before its content changes (N2). */
	isRejected(resource: EncodedResource): boolean {
		return this.rejections.get(resource.name)?.hash === resource.hash;
	}

	/** What was rejected of these is tried again: its filters may have been why. */
	forgive(sources: readonly string[]): void {
		const again = [...this.rejections].filter(([, { source }]) => sources.includes(source)).map(([name]) => name);
		if (again.length === 0) return;
		this.rejections = new Map([...this.rejections].filter(([name]) => !again.includes(name)));
		this.#sent = new Map([...this.#sent].filter(([name]) => !again.includes(name)));
		this.#rejectedVersion = null;
	}

	/**
	 * @param wanted what the client should hold of what it subscribed to
	 * @param target all that is published of the type, and its version
	 * @returns null when there is nothing to say (S6) or an answer is awaited
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
		if (this.full && version === this.#rejectedVersion && !this.#isAsking(wanted)) return null;
		const response = { type: this.type, version, nonce, resources };
		this.#flight = { response, sentAtMs: nowMs, before: this.accepted, assumed: false };
		this.#sent = after;
		this.#lastNonce = nonce;
		this.sentVersion = version;
		this.#wildcardAsked = false;
		for (const { name } of resources) this.#asked.delete(name);
		return response;
	}

	/** What the client holds by a version that it may name on its next stream; null = it is not of this stream. */
	viewOf(version: string): View | null {
		if (version === "") return null;
		if (version === this.sentVersion) return this.#sent;
		return version === this.acceptedVersion ? this.accepted : null;
	}

	/** What a version stands for, once this channel has sent it. */
	get sentView(): View {
		return this.#sent;
	}

	/** G1: everything, when anything changed. An empty first answer only to a wildcard; missing names get silence (G3). */
	#whole(wanted: View, target: View): readonly EncodedResource[] | null {
		const lost = [...this.#sent.keys()].some((name) => this.subscription.wants(name) && !wanted.has(name));
		const changed = [...wanted].some(([name, { hash }]) => this.#sent.get(name)?.hash !== hash);
		if (!lost && !changed && !this.#isAsking(wanted)) return null;
		// What was held back is not gone: an empty list would delete what the client still serves.
		if (wanted.size === 0 && target.size > 0 && this.subscription.wildcard) return null;
		return [...wanted.values()];
	}

	#changed(wanted: View): readonly EncodedResource[] | null {
		const due = [...wanted.values()].filter(
			(resource) => this.#asked.has(resource.name) || this.#sent.get(resource.name)?.hash !== resource.hash,
		);
		// Envoy acknowledges a filter unread whose bytes it refused before, so each goes alone and is refused alone.
		const single = this.type === "extensions" ? due[0] : due.find(({ name }) => this.#singly.has(name));
		if (single !== undefined) return [single];
		return due.length === 0 ? null : due;
	}

	#isAsking(wanted: View): boolean {
		return this.#wildcardAsked || [...this.#asked].some((name) => wanted.has(name));
	}

	/** Whether the client's view is, as far as it subscribes, exactly what is published. */
	#isTarget(view: View, target: View): boolean {
		for (const [name, { hash }] of view) if (target.get(name)?.hash !== hash) return false;
		for (const name of target.keys()) if (this.subscription.wants(name) && !view.has(name)) return false;
		return true;
	}

	/** A client that comes back holds what it last accepted; all the same everything is sent again. */
	#remember(version: string, view: View | null): void {
		this.acceptedVersion = version;
		this.cameWithState = true;
		if (view === null) this.opaque = true;
		else this.accepted = view;
	}

	#judge(request: Request): Verdict {
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

	/** @param fresh what of the response was new to the client */
	#reject({ resources, version }: Response, fresh: readonly EncodedResource[], words: string): void {
		this.#rejectedVersion = version;
		if (!this.full && resources.length > 1) {
			this.#singly = new Set(resources.map(({ name }) => name));
			this.#sent = new Map([...this.#sent].filter(([name]) => !this.#singly.has(name)));
			return;
		}
		// Nothing new in it and rejected all the same: the words are about all of it.
		const bad = blamed(fresh.length > 0 ? fresh : resources, words);
		const rejections = new Map(this.rejections);
		const told = toldWords(words);
		for (const resource of bad) {
			const { name, hash } = resource;
			rejections.set(name, { hash, words: told, source: sourceOf(resource, this.accepted.get(name), words) });
			this.#singly.delete(name);
		}
		this.rejections = rejections;
		if (!this.full || bad.length === fresh.length) return;
		// Envoy took the others.
		const good = resources.filter((resource) => !bad.includes(resource));
		const kept = [...this.accepted.values()].filter(({ name }) => bad.some((resource) => resource.name === name));
		this.accepted = byName([...good, ...kept]);
	}

	#accept(resources: readonly EncodedResource[]): void {
		this.accepted = this.full ? byName(resources) : new Map([...this.accepted, ...byName(resources)]);
	}

	/** What is no longer subscribed is not held, and is sent anew when it is subscribed again (W6). */
	#forget(): void {
		const wanted = ([name]: [string, EncodedResource]) => this.subscription.wants(name);
		this.#sent = new Map([...this.#sent].filter(wanted));
		if (!this.full) this.accepted = new Map([...this.accepted].filter(wanted));
		this.#asked = new Set([...this.#asked].filter((name) => this.subscription.names.has(name)));
		this.brought = new Set([...this.brought].filter((name) => this.subscription.names.has(name)));
	}
}

const byName = (resources: readonly EncodedResource[]): View =>
	new Map(resources.map((resource) => [resource.name, resource]));
