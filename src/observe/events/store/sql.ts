/** DuckDB SQL fragments shared by the statements over observations. */

/** A text literal. */
export const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** Expressions from SQL text to SQL text. Aggregates skip rows with a null argument. */
export const sql = {
	// Kahan's compensated sums: of six thousand equal values plain addition loses three digits.
	mean: (value: string) => `favg(${value})`,
	sum: (value: string) => `fsum(${value})`,
	// Welford's, merged by Chan's formula. Population variance and covariance; null of an empty group.
	variance: (value: string) => `var_pop(${value})`,
	covariance: (one: string, other: string) => `covar_pop(${one}, ${other})`,
	/** Position of a text in the list, from 1; the text must be in it. */
	placeIn: (list: readonly string[], value: string) => `list_position([${list.map(text).join(", ")}], ${value})`,
	/** Number of the list at a position, from 1. */
	numberAt: (list: readonly number[], place: string) => `[${list.join(", ")}][${place}]`,
	/** A double null. */
	nothing: "CAST(NULL AS DOUBLE)",
	/** 64-bit whole number. */
	whole: (value: string) => `CAST(${value} AS BIGINT)`,
} as const;
