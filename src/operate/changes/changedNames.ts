/** Which resources of a kind a change is about. Pure. */
import type { Kind } from "../../declare/resources/resource.js";
import type { ResourceChange } from "./change.js";

/** Qualified names of the resources that change. */
export const changedNames = (changes: readonly ResourceChange[], of: Kind): ReadonlySet<string> =>
	new Set(changes.flatMap(({ kind, name, change }) => (kind === of && change !== "unchanged" ? [name] : [])));
