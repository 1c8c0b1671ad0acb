/** What is known of the units of an Experiment is of no use once it has ended or is deleted: nobody is assigned by it. */

interface KnowsUnits {
	/** Of which it knows units. */
	readonly experiments: readonly string[];
	forget(experiments: readonly string[]): void | Promise<void>;
}

/**
 * Lets them forget all Experiments but those under way, by their qualified names. Where these cannot be asked for, nothing is
 * forgotten; an ended one that is heard of again, by a request that was under way, goes at the next call.
 */
export async function forgetEnded(
	all: readonly KnowsUnits[],
	underWay: () => Promise<readonly string[]>,
): Promise<void> {
	// Before the question: one that begins meanwhile is not in its answer.
	const known = all.map((one) => one.experiments);
	if (known.every(({ length }) => length === 0)) return;
	const names = await underWay().catch(() => null);
	if (names === null) return;
	const stay = new Set(names);
	for (const [place, one] of all.entries()) {
		await one.forget((known[place] ?? []).filter((name) => !stay.has(name)));
	}
}
