/**
 * What the versions that were sent lately stand for. An Envoy whose stream breaks comes back with a version: with
 * its view the server knows which clusters the client's routes still need, and which endpoints it has.
 */
import { XDS_SENT_VIEWS_BYTES_MAX, XDS_SENT_VIEWS_MAX, XDS_SENT_VIEWS_MIN } from "../limits.js";
import { bytesOf, ENTRY_BYTES, type EncodedResource, type EnvoyTypeName } from "./resource.js";
import type { View } from "./snapshot.js";
import type { SentViews } from "./stream.js";
import type { ViewShelf } from "./viewShelf.js";

export interface RecentViewsBounds {
	readonly views: number;
	/** Of what they hold together; beyond it none but the youngest `least` stay. */
	readonly bytes: number;
	readonly least: number;
}

/** In memory, and on disk. */
export const SENT_VIEWS_BOUNDS: RecentViewsBounds = {
	views: XDS_SENT_VIEWS_MAX,
	bytes: XDS_SENT_VIEWS_BYTES_MAX,
	least: XDS_SENT_VIEWS_MIN,
};

export class RecentViews implements SentViews {
	readonly #views = new Map<string, View>();
	/** In how many views a resource is: most are in nearly all. */
	readonly #uses = new Map<EncodedResource, number>();
	#bytes = 0;

	/** @param shelf where they outlive the process; null = nowhere */
	constructor(
		readonly bounds: RecentViewsBounds,
		readonly shelf: Pick<ViewShelf, "keep" | "sizeOf" | "touch" | "find"> | null = null,
	) {}

	/** Bytes that all of it takes, about. */
	get bytes(): number {
		return this.#bytes;
	}

	remember(type: EnvoyTypeName, version: string, view: View): void {
		// Equal version, equal content, but for a client that has not asked for all yet.
		const [inMemory, onDisk] = [this.#views.get(keyOf(type, version)), this.shelf?.sizeOf(type, version) ?? 0];
		if (Math.max(inMemory?.size ?? 0, onDisk) >= view.size) this.touch(type, version);
		else this.#put(type, version, view);
		// The disk may have been too slow for it before.
		const largest = this.#views.get(keyOf(type, version));
		if (largest !== undefined && largest.size > onDisk) this.shelf?.keep(type, version, largest);
	}

	touch(type: EnvoyTypeName, version: string): void {
		const key = keyOf(type, version);
		const known = this.#views.get(key);
		if (known !== undefined) {
			this.#views.delete(key);
			this.#views.set(key, known);
		}
		this.shelf?.touch(type, version);
	}

	recall(type: EnvoyTypeName, version: string): View | null {
		const known = this.#views.get(keyOf(type, version));
		if (known !== undefined) return known;
		const kept = this.shelf?.find(type, version) ?? null;
		if (kept !== null) this.#put(type, version, kept);
		return kept;
	}

	#put(type: EnvoyTypeName, version: string, view: View): void {
		const key = keyOf(type, version);
		const known = this.#views.get(key);
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

const keyOf = (type: EnvoyTypeName, version: string): string => `${type} ${version}`;
