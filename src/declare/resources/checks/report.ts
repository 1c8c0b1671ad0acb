/** Shared by the cross-checks: the set, and the report of a problem at a field. */
import type { Named, Path, Positions } from "../position.js";
import type { ResourceSet } from "../resource.js";

/** The hint, or a function for it: the search for similar names runs only for reported problems. */
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
	/** Another namespace may have removed what it depends on (a grant, a DataClass, regions): withdrawn() reports it. */
	mayLack(resource: Named): boolean;
	report(resource: Named, path: Path, message: string, hint: Hint): void;
}
