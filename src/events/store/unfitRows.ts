/** Rows that a table cannot hold, however often they are tried. */
import { WeirError } from "../../error.js";

/**
 * Thrown by an append, which has taken none of its rows: these have values outside their columns' ranges. What fails otherwise (a
 * full disk) is not the rows' fault, and is tried again.
 */
export class UnfitRows extends WeirError {
	/** @param rows of the items that were to be appended; none of their values is in the message */
	constructor(
		table: string,
		readonly rows: ReadonlySet<unknown>,
		cause: unknown,
	) {
		super("internal", `table ${table} cannot hold ${rows.size} of the rows`, "", { cause });
	}
}

/** null = it throws for another reason, or for none of these rows: to leave some out would not help. */
export function withoutUnfit<Item>(thrown: unknown, items: readonly Item[]): readonly Item[] | null {
	if (!(thrown instanceof UnfitRows)) return null;
	const fit = items.filter((item) => !thrown.rows.has(item));
	return fit.length < items.length ? fit : null;
}
