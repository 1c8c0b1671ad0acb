/** What a client has taken, by the forms of Services and Gateways: what differs from it has changed. Pure. */
import type { Publication } from "./publication.js";

export type Taken = Pick<Publication, "forms">;

/** @param but titles of which it keeps what it had before */
export function merged(on: Publication, before: Taken | null, but: readonly string[]): Taken {
	if (but.length === 0) return on;
	const forms = new Map(on.forms);
	for (const title of but) {
		const kept = before?.forms.get(title);
		if (kept === undefined) forms.delete(title);
		else forms.set(title, kept);
	}
	return { forms };
}

/** @param but titles that do not count: what is refused differs for as long as it is */
export function gatewaysDiffer({ forms }: Taken, before: Taken | null, but: readonly string[]): boolean {
	const of = (all: ReadonlyMap<string, string> = new Map()): string =>
		JSON.stringify([...all].filter(([title]) => title.startsWith("Gateway ") && !but.includes(title)).sort());
	return before !== null && of(forms) !== of(before.forms);
}
