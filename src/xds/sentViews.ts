/**
 * What the versions that were sent lately stand for. An Envoy whose stream breaks comes back with a version: with
 * its view the server knows which clusters the client's routes still need, and which endpoints it has.
 */
import type { EncodedResource, TypeName } from "./resource.js";
import type { View } from "./snapshot.js";
import type { SentViews } from "./stream.js";

export interface RecentViewsBounds {
	readonly views: number;
	/** Of what they hold together; beyond it none but the youngest `least` stay. */
	readonly bytes: number;
	readonly least: number;
}

export class RecentViews implements SentViews {
	readonly #views = new Map<string, View>();
	/** In how many views a resource is: most are in nearly all. */
	readonly #uses = new Map<EncodedResource, number>();
	#bytes = 0;

	constructor(readonly bounds: RecentViewsBounds) {}

	/** Bytes that all of it takes, about. */
	get bytes(): number {
		return this.#bytes;
	}

	remember(type: TypeName, version: string, view: View): void {
		const key = `${type} ${version}`;
		const known = this.#views.get(key);
		// Equal version, equal content, but for a client that has not asked for all yet. Set again, so that what is in use is
		// the youngest.
		if (known !== undefined && known.size >= view.size) {
			this.#views.delete(key);
			this.#views.set(key, known);
			return;
		}
		if (known !== undefined) this.#forget(key, known);
		this.#views.set(key, view);
		this.#bytes += ENTRY_BYTES * view.size;
		for (const resource of view.values()) {
			const uses = this.#uses.get(resource) ?? 0;
			if (uses === 0) this.#bytes += bytesOf(resource);
			this.#uses.set(resource, uses + 1);
		}
		const { views, bytes, least } = this.bounds;
		for (const [oldest, old] of this.#views) {
			const { size } = this.#views;
			if (size <= views && (size <= least || this.#bytes <= bytes)) return;
			this.#forget(oldest, old);
		}
	}

	recall(type: TypeName, version: string): View | null {
		return this.#views.get(`${type} ${version}`) ?? null;
	}

	#forget(key: string, view: View): void {
		this.#views.delete(key);
		this.#bytes -= ENTRY_BYTES * view.size;
		for (const resource of view.values()) {
			const uses = this.#uses.get(resource) ?? 0;
			if (uses > 1) this.#uses.set(resource, uses - 1);
			else {
				this.#uses.delete(resource);
				this.#bytes -= bytesOf(resource);
			}
		}
	}
}

/** Of a map's entry, and of an object or a short text. */
const ENTRY_BYTES = 64;

const bytesOf = ({ bytes, hosts, clusters, parts }: EncodedResource): number =>
	bytes.length + ENTRY_BYTES * (8 + hosts.length + clusters.length + 4 * parts.length);
