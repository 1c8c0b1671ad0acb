/**
 * The documents of requests, understood: who may see a part of a request is shown those. The contents of a request never
 * change, so that those of the last ones are kept: who approves looks at one again and again.
 */
import { REQUEST_DOCUMENTS_BYTES_MAX } from "../../limits.js";
import { resourcesOf } from "../../resources/kinds.js";
import { parseResources } from "../../resources/parse.js";
import type { Resource } from "../../resources/resource.js";
import { splitDocuments } from "../api/documents.js";
import { keyOf } from "../store/resourceSet.js";

export type Texts = readonly { readonly name: string; readonly text: string }[];

export interface RequestDocument {
	/** As `keyOf` has it. */
	readonly key: string;
	readonly resource: Resource;
	readonly text: string;
}

interface Kept {
	readonly documents: readonly RequestDocument[];
	readonly bytes: number;
}

export class RequestDocuments {
	/** The one that was asked for last is the last. */
	readonly #kept = new Map<string, Kept>();

	/** @param bytesMax of texts, of all requests that are kept together */
	constructor(
		private readonly bytesMax = REQUEST_DOCUMENTS_BYTES_MAX,
		private readonly parse: typeof parseResources = parseResources,
	) {}

	/** @param texts the contents of that request, always the same; those of stored requests of any age */
	of(id: string, texts: Texts): readonly RequestDocument[] {
		const made = this.#kept.get(id) ?? this.#read(texts);
		this.#kept.delete(id);
		this.#kept.set(id, made);
		let bytes = [...this.#kept.values()].reduce((sum, one) => sum + one.bytes, 0);
		for (const [oldest, one] of this.#kept) {
			if (bytes <= this.bytesMax) break;
			this.#kept.delete(oldest);
			bytes -= one.bytes;
		}
		return made.documents;
	}

	#read(texts: Texts): Kept {
		const documents = texts.flatMap(({ name, text }) =>
			splitDocuments(text).flatMap((document) => {
				const [resource] = resourcesOf(this.parse([{ name, text: document.text }]).resources);
				return resource === undefined ? [] : [{ key: keyOf(resource), resource, text: document.text }];
			}),
		);
		return { documents, bytes: texts.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0) };
	}
}
