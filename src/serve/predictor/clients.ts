/** Whose connections the predictor takes: SPIFFE ids, one by one or all below a path. Pure. */

import { spiffeFault } from "../../declare/resources/spiffe.js";
import { WeirError } from "../../error.js";

/** A SPIFFE id in full, or `prefix/*` for any number of whole segments below it. */
export interface ClientRule {
	readonly id: string;
	readonly below: boolean;
}

const HINT = "write spiffe://TRUST-DOMAIN/PATH, or spiffe://TRUST-DOMAIN/PATH/* for all ids below it";

/** @throws WeirError `invalid-argument` for what is neither a SPIFFE id nor one that ends with `/*` */
export function clientRule(text: string): ClientRule {
	const below = text.endsWith("/*");
	const id = below ? text.slice(0, -"/*".length) : text;
	const fault = spiffeFault(id);
	if (fault !== null) throw new WeirError("invalid-argument", `'${text}' ${fault}`, HINT);
	// A whole trust domain is everybody who has any identity at all.
	if (!id.slice("spiffe://".length).includes("/"))
		throw new WeirError("invalid-argument", `'${text}' names no path`, HINT);
	return { id, below };
}

/** Whether it is a sidecar's of the trust domain, `/weir/sidecar` or `/weir/sidecar/NAME`, as xDS has it too. */
export function isSidecar(trustDomain: string, id: string): boolean {
	const prefix = `spiffe://${trustDomain}/weir/sidecar`;
	if (id === prefix) return true;
	if (spiffeFault(id) !== null || !id.startsWith(`${prefix}/`)) return false;
	return !id.slice(prefix.length + 1).includes("/");
}

/** @param id strictly parsed (spiffeFault has nothing against it), so that a prefix of text is one of segments */
export function isClient(rules: readonly ClientRule[], id: string): boolean {
	return rules.some((rule) => (rule.below ? id.startsWith(`${rule.id}/`) : id === rule.id));
}
