/** Rules for the SPIFFE ids of the predictor's clients. Pure. */

import { spiffeFault } from "../../declare/resources/spiffe.js";
import { WeirError } from "../../error.js";

/** A full SPIFFE id, or `prefix/*` for all ids below it. */
export interface ClientRule {
	readonly id: string;
	readonly below: boolean;
}

const HINT = "write spiffe://TRUST-DOMAIN/PATH, or spiffe://TRUST-DOMAIN/PATH/* for all ids below it";

/** @throws WeirError `invalid-argument` unless the text is a SPIFFE id, or one that ends with `/*` */
export function clientRule(text: string): ClientRule {
	const below = text.endsWith("/*");
	const id = below ? text.slice(0, -"/*".length) : text;
	const fault = spiffeFault(id);
	if (fault !== null) throw new WeirError("invalid-argument", `'${text}' ${fault}`, HINT);
	// A whole trust domain would allow every workload.
	if (!id.slice("spiffe://".length).includes("/"))
		throw new WeirError("invalid-argument", `'${text}' names no path`, HINT);
	return { id, below };
}

/** Whether it is the id of a sidecar: `/weir/sidecar` or `/weir/sidecar/NAME`, as in xDS. */
export function isSidecar(trustDomain: string, id: string): boolean {
	const prefix = `spiffe://${trustDomain}/weir/sidecar`;
	if (id === prefix) return true;
	if (spiffeFault(id) !== null || !id.startsWith(`${prefix}/`)) return false;
	return !id.slice(prefix.length + 1).includes("/");
}

/** @param id valid by spiffeFault, so that a text prefix is a path prefix */
export function isClient(rules: readonly ClientRule[], id: string): boolean {
	return rules.some((rule) => (rule.below ? id.startsWith(`${rule.id}/`) : id === rule.id));
}
