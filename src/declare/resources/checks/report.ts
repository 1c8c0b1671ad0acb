/** What the cross-checks share: the set, and how to report a problem at a field of a resource. */
import type { Named, Path, Positions } from "../position.js";
import type { ResourceSet } from "../resource.js";

/** In words, or how to find them: what is near to a name is looked for among all names, and for no more problems than are told. */
export type Hint = string | (() => string);

export interface Check {
	readonly set: ResourceSet;
	/** What stood before the change: what is no worse than then is no fault of it. null = nothing did. */
	readonly before: ResourceSet | null;
	readonly positions: Positions;
	/**
	 * Stands as it was accepted, also where it is given once more: what is refused since then is no fault of a later change.
	 */
	isStored(resource: Named): boolean;
	/** Another namespace may have taken back what it rests on (a grant, a DataClass, regions): that is told by withdrawn(). */
	mayLack(resource: Named): boolean;
	report(resource: Named, path: Path, message: string, hint: Hint): void;
}
