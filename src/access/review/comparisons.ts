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

/** Who waits for the answer alone, as a command does, waits as long as it takes. */
export const UNBOUNDED: Room = { comparisons: Number.POSITIVE_INFINITY };

/** Takes what it costs to look up the lists of both in which they are not one and the same. @returns whether there was room */
export function takeEntries(room: Room, one: PolicyTable, other: PolicyTable): boolean {
	const [lists, others] = [listsOf(one), listsOf(other)];
	const most = Math.max(lists.length, others.length);
	let size = 0;
	for (let at = 0; at < most; at++) {
		const [list = [], beside = []] = [lists[at], others[at]];
		if (list !== beside) size += list.length + beside.length;
	}
	// What is the same is seen at once, whatever was compared before.
	return size === 0 || takePairs(room, size * PER_ENTRY);
}

/** @returns whether there was room for so many */
export function takePairs(room: Room, pairs: number): boolean {
	room.comparisons -= pairs;
	return room.comparisons >= 0;
}

/** In one order. */
function listsOf({ principals, methods, pathPrefixes, more }: PolicyTable): readonly (readonly unknown[])[] {
	const { users, groups, tenants, purposes, claims, regions, pathTemplates } = more ?? NO_MORE;
	const lists = [principals, methods, pathPrefixes, users, groups, tenants, purposes, regions, pathTemplates];
	return [...lists, ...claims.map(({ values }) => values)];
}
