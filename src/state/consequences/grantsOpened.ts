/** Removed with the comparison of rules (branch take-state deletes this file). */
import type { PolicyTable } from "../../compiler/plan.js";
import type { ResourceSet } from "../../resources/resource.js";
import type { ResourceChange } from "../acts/wishes.js";
import type { StandingFault } from "./unplaced.js";

export interface Opening extends StandingFault {
	readonly openings: readonly string[];
	readonly rules: readonly PolicyTable[];
}

export function openedByGrants(_: ResourceSet, __: ResourceSet, ___: readonly ResourceChange[]): readonly Opening[] {
	return [];
}

export function openedEffects(
	_: readonly StandingFault[],
): readonly { readonly effect: string; readonly namespace: string }[] {
	return [];
}

export function openedBasis(_: readonly Opening[]): Readonly<Record<string, string>> {
	return {};
}
