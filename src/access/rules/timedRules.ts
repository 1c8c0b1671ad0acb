/** Rules that a time turns: their validity, schedule, or a condition that reads it. */
import type { AccessTable, PolicyTable } from "../../compiler/plan.js";

export const isTimed = ({ more }: PolicyTable): boolean =>
	more !== null &&
	(more.schedule !== null || more.validFromMs !== null || more.validUntilMs !== null || readsTime(more.condition));

const readsTime = (condition: string | null): boolean => /\btime\b/.test(condition ?? "");

/**
 * The rules as if the times of all held, or of none. A verdict goes one way only with each rule more that holds: from nobody's
 * to an allow's, to a forbid's, and among those to the first by name. So where both give the same, every time does.
 */
export function withTimes(table: AccessTable, hold: boolean): AccessTable {
	const policies = table.policies.map((policy): PolicyTable => {
		const { more } = policy;
		if (more === null || !isTimed(policy)) return policy;
		if (!hold) return { ...policy, more: { ...more, validUntilMs: Number.NEGATIVE_INFINITY } };
		const condition = readsTime(more.condition) ? null : more.condition;
		return { ...policy, more: { ...more, schedule: null, validFromMs: null, validUntilMs: null, condition } };
	});
	return { ...table, policies };
}
