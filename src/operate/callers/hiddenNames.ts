/** Names of resources in namespaces that the caller may not read. */
import { NOT_GRANTED } from "../../declare/resources/checks/reference.js";
import { KINDS } from "../../declare/resources/kinds.js";
import { resourceTitle } from "../../declare/resources/position.js";
import { namespaceOf, type Resource } from "../../declare/resources/resource.js";

/** Whether the caller may read a namespace; `*` = all of them. */
export type MayRead = (namespace: string) => boolean;

/**
 * A kind and a full name, as `resourceTitle` writes them. Not in the answer to a name without a grant, which is the same
 * whether the resource exists or not. Quoted text is the caller's own.
 */
const TITLE = new RegExp(
	`"(?:[^"\\\\]|\\\\.)*"|\\b(${KINDS.join("|")}) ([a-z0-9](?:[-a-z0-9./]*[a-z0-9])?)(?![-\\w/]|\\.\\w)(?! ${NOT_GRANTED})`,
	"g",
);

/** @returns whether a text names a resource that the caller may not read, existing or not */
export function hiddenNames(stored: readonly Resource[], mayRead: MayRead): (text: string) => boolean {
	const titles = new Set(stored.filter(({ metadata }) => !mayRead(metadata.namespace)).map(resourceTitle));
	// A name without a namespace may be any word, so it is hidden only if it is stored.
	const isHidden = (title: string, name: string): boolean =>
		titles.has(title) || (name.includes("/") && !mayRead(namespaceOf(name)));
	return (text) => [...text.matchAll(TITLE)].some(([title, , name]) => name !== undefined && isHidden(title, name));
}
