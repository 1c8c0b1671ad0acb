/** What the cross-checks share: the set, and how to report a problem at a field of a resource. */
import type { Named, Path, Positions } from "./position.js";
import type { ResourceSet } from "./resource.js";

export interface Check {
	readonly set: ResourceSet;
	readonly positions: Positions;
	report(resource: Named, path: Path, message: string, hint: string): void;
}
