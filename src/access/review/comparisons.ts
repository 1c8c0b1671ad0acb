/** How much of rules is compared with rules at once: control compares them on the loop that serves everybody. */
import type { PolicyTable } from "../../compiler/plan.js";
import { RULE_COMPARISONS_MAX } from "../../limits.js";
import { NO_MORE } from "../rules/table.js";

/** What may still be compared, in pairs of path templates; below 0 it was not enough. */
export interface Room {
	comparisons: number;
}

/** For one change as a whole. */
export const newRoom = (): Room => ({ comparisons: RULE_COMPARISONS_MAX });

/** To look one entry of a list up takes as long as so many pairs. */
const PER_ENTRY = 8;

/** Takes what it costs to look all lists of both policies up. @returns whether there was room for it */
export function takeEntries(room: Room, ...policies: readonly PolicyTable[]): boolean {
	return takePairs(room, policies.reduce((sum, one) => sum + entriesOf(one), 0) * PER_ENTRY);
}

/** @returns whether there was room for so many */
export function takePairs(room: Room, pairs: number): boolean {
	room.comparisons -= pairs;
	return room.comparisons >= 0;
}

function entriesOf({ principals, methods, pathPrefixes, more }: PolicyTable): number {
	const { users, groups, tenants, purposes, claims, regions, pathTemplates } = more ?? NO_MORE;
	const lists = [principals, methods, pathPrefixes, users, groups, tenants, purposes, regions, pathTemplates];
	return lists.concat(claims.map(({ values }) => values)).reduce((sum, { length }) => sum + length, 0);
}
