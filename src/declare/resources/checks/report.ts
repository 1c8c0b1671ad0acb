/** Shared by the cross-checks: the set, and the report of a problem at a field. */
import type { Named, Path, Positions } from "../position.js";
import type { ResourceSet } from "../resource.js";

/** The hint, or a function for it: the search for similar names runs only for reported problems. */
export type Hint = string | (() => string);

export interface Check {
	readonly set: ResourceSet;
	/** The set before the change: the change causes no problem that was there before. null = none. */
	readonly before: ResourceSet | null;
	readonly positions: Positions;
	/**
	 * Whether it is unchanged, also if it is given again. Another namespace may have removed what it depends on (a grant, a
	 * DataClass, regions): withoutEffect() reports it.
	 */
	isStored(resource: Named): boolean;
	report(resource: Named, path: Path, message: string, hint: Hint): void;
}
