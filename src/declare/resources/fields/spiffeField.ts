/** SPIFFE ids as fields of declarations. Apart from what tells them (spiffe.ts), which processes ask that read no declaration. */
import { z } from "zod";
import { SPIFFE_TRUST_DOMAIN_BYTES_MAX } from "../../../limits/index.js";
import { NOBODY, spiffeFault, trustDomainFault } from "../spiffe.js";
import { refuse } from "./scalar.js";
import { say } from "./strict.js";

export const SPIFFE_HINT = "write a SPIFFE id such as spiffe://example.org/ns/team-a/sa/web";

/** But for a trust domain alone, for editors too; what else is no SPIFFE id spiffeFault tells. */
const NO_DOMAIN = new RegExp(`^(?!spiffe://(?!\\.{1,2}$)[a-z0-9._-]{1,${SPIFFE_TRUST_DOMAIN_BYTES_MAX}}$)`);

const pathOf = (domain: string): string => `write ${domain}/PATH, a workload's id`;

/**
 * A text that is no trust domain alone: where a caller is meant that would match nobody, and a deny would let all of it in.
 * @param instead what to write for one
 */
export const noTrustDomain = (hint: string, instead: (domain: string) => string = pathOf) =>
	z
		.string({ error: hint })
		.regex(NO_DOMAIN, { error: ({ input }) => say(NOBODY, instead(String(input))), abort: true });

/** An exact SPIFFE id of a workload. */
export const spiffeId = noTrustDomain(SPIFFE_HINT)
	.transform((value, context): string => {
		const fault = spiffeFault(value);
		return fault === null ? value : refuse(context, SPIFFE_HINT, `${fault} (${JSON.stringify(value.slice(0, 80))})`);
	})
	.meta({ description: "A workload's exact SPIFFE id, such as spiffe://example.org/ns/team-a/sa/web." });

const DOMAIN_HINT = "write a trust domain such as example.org, without spiffe://";

/** A SPIFFE trust domain, by its name alone. */
export const trustDomain = z
	.string({ error: DOMAIN_HINT })
	.transform((value, context): string => {
		const fault = trustDomainFault(value);
		return fault === null ? value : refuse(context, DOMAIN_HINT, `${fault} (${JSON.stringify(value.slice(0, 80))})`);
	})
	.meta({ description: "A SPIFFE trust domain, such as example.org." });
