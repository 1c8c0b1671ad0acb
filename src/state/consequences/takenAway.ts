/** Removed with the comparison of rules (branch take-state deletes this file). */
import type { Resource } from "../../resources/resource.js";
import type { State } from "../../rollout/ports.js";

export function onlyTakesAway(_: readonly Resource[], __: Pick<State, "resources" | "status">, ___: number): boolean {
	return false;
}
