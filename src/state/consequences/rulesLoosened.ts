/** Removed with the comparison of rules (branch take-state deletes this file). */
import type { ResourceSet } from "../../resources/resource.js";
import type { ResourceChange } from "../acts/wishes.js";

export interface Loosened {
	readonly policy: string;
	readonly namespace: string;
	readonly services: readonly string[];
	readonly words: readonly string[];
}

export function rulesLoosened(_: ResourceSet, __: ResourceSet, ___: readonly ResourceChange[]): readonly Loosened[] {
	return [];
}
