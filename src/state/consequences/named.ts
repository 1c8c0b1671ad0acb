/** Names in an effect that approvers and the audit log are told: the first of them, and how many more there are. Pure. */

/** Experiments, Services, hosts or endpoints. */
const NAMED_MAX = 3;

/** `a.example, b.example, c.example and 22 more` */
export function someOf(names: readonly string[]): string {
	const more = names.length - NAMED_MAX;
	return `${names.slice(0, NAMED_MAX).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** `host a.example`, `hosts a.example, b.example` */
export const listed = (what: string, names: readonly string[]): string =>
	`${what}${names.length === 1 ? "" : "s"} ${someOf(names)}`;
