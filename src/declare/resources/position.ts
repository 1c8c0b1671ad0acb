/**
 * Positions of the fields of each resource in its file, so that later checks can point at the line. Paths are those of
 * the YAML text (`spec.layer.slot`), not of the parsed form.
 */

import type { Metadata } from "./metadata.js";
import { type Kind, type Position, qualifiedName } from "./resource.js";

export type Path = readonly (string | number)[];

/** The position of a value, and its source text if it is a scalar. */
export interface Place {
	readonly position: Position;
	readonly source: string | null;
}

/** A field and its nested fields. */
class Branch {
	place: Place | null = null;
	/** Position of the field's name. */
	key: Position | null = null;
	fields: Map<string, Branch> | null = null;
}

/** Positions in one document; a missing path falls back to the nearest enclosing field. */
export interface Places {
	nearest(path: Path): Place | null;
	/** The text of a scalar as it was written, or null. */
	source(path: Path): string | null;
}

/** Positions in one document by path. A tree, because whole paths as keys would repeat long names. */
export class DocumentPlaces implements Places {
	readonly #root = new Branch();

	set(path: Path, place: Place): void {
		this.#grown(path).place = place;
	}

	/** Sets the position of the field's name. */
	setKey(path: Path, position: Position): void {
		this.#grown(path).key = position;
	}

	keyOf(path: Path): Position | null {
		return this.#along(path).at(path.length)?.key ?? null;
	}

	exact(path: Path): Place | null {
		return this.#along(path).at(path.length)?.place ?? null;
	}

	source(path: Path): string | null {
		return this.exact(path)?.source ?? null;
	}

	nearest(path: Path): Place | null {
		return this.#along(path).findLast(({ place }) => place !== null)?.place ?? null;
	}

	#grown(path: Path): Branch {
		let branch = this.#root;
		for (const part of path) {
			branch.fields ??= new Map();
			let inner = branch.fields.get(String(part));
			if (inner === undefined) {
				inner = new Branch();
				branch.fields.set(String(part), inner);
			}
			branch = inner;
		}
		return branch;
	}

	#along(path: Path): readonly Branch[] {
		const branches = [this.#root];
		let branch: Branch | undefined = this.#root;
		for (const part of path) {
			branch = branch.fields?.get(String(part));
			if (branch === undefined) break;
			branches.push(branch);
		}
		return branches;
	}
}

/** A Resource, or the kind and name of one that did not parse. */
export interface Named {
	readonly kind: Kind;
	readonly metadata: Pick<Metadata, "name" | "namespace">;
}

/** `Service employment`, or `Service team-a/employment`: how messages name a resource. */
export function resourceTitle(resource: Named): string {
	return `${resource.kind} ${qualifiedName(resource.metadata)}`;
}

/** Positions in all documents of a set. Empty for a set without text: every position is null. */
export class Positions {
	readonly #documents = new Map<string, Places>();
	readonly #broken = new Set<string>();
	readonly #brokenKinds = new Set<Kind>();

	/** Records a document. `broken`: it has problems of its own and is not in the set. */
	add(resource: Named, places: Places, broken: boolean): void {
		const title = resourceTitle(resource);
		if (!this.#documents.has(title)) this.#documents.set(title, places);
		if (!broken) return;
		this.#broken.add(title);
		this.#brokenKinds.add(resource.kind);
	}

	at(resource: Named, path: Path = []): Position | null {
		return this.#documents.get(resourceTitle(resource))?.nearest(path)?.position ?? null;
	}

	/** The text of a scalar as it was written, or null. */
	source(resource: Named, path: Path): string | null {
		return this.#documents.get(resourceTitle(resource))?.source(path) ?? null;
	}

	/** Whether a resource is declared but did not parse: a reference to it is then no problem. */
	isBroken(resource: Named): boolean {
		return this.#broken.has(resourceTitle(resource));
	}

	hasBroken(kind: Kind): boolean {
		return this.#brokenKinds.has(kind);
	}
}

/** `spec.arms[1].variant` */
export function formatPath(path: Path): string {
	return path
		.map((part, index) => (typeof part === "number" ? `[${part}]` : `${index === 0 ? "" : "."}${shortened(part)}`))
		.join("");
}

/** Longest name that a message quotes. */
const NAME_SHOWN_CHARS = 100;

/** Truncates a text for a message. */
export function shortened(text: string, most = NAME_SHOWN_CHARS): string {
	return text.length > most ? `${text.slice(0, most)}…` : text;
}
