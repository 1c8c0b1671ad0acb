/** Schemas of SPIFFE ids. Apart from spiffe.ts, because most processes parse no declarations. */
import { z } from "zod";
import { SPIFFE_TRUST_DOMAIN_BYTES_MAX } from "../../../limits/index.js";
import { NOT_A_WORKLOAD, spiffeFault, trustDomainFault } from "../spiffe.js";
import { refuse } from "./scalar.js";
import { withHint } from "./strict.js";

export const SPIFFE_HINT = "write a SPIFFE id such as spiffe://example.org/ns/team-a/sa/web";

/** Excludes a trust domain alone, for editors; spiffeFault reports all other errors. */
const NO_DOMAIN = new RegExp(`^(?!spiffe://(?!\\.{1,2}$)[a-z0-9._-]{1,${SPIFFE_TRUST_DOMAIN_BYTES_MAX}}$)`);

const pathOf = (domain: string): string => `write ${domain}/PATH, a workload's id`;

/**
 * Refuses a trust domain alone: it would match no caller, and so make a deny ineffective.
 * @param instead what to write for one
 */
export const noTrustDomain = (hint: string, instead: (domain: string) => string = pathOf) =>
	z
		.string({ error: hint })
		.regex(NO_DOMAIN, { error: ({ input }) => withHint(NOT_A_WORKLOAD, instead(String(input))), abort: true });

/** An exact SPIFFE id of a workload. */
export const spiffeId = noTrustDomain(SPIFFE_HINT)
	.transform((value, context): string => {
		const fault = spiffeFault(value);
		return fault === null ? value : refuse(context, SPIFFE_HINT, `${fault} (${JSON.stringify(value.slice(0, 80))})`);
	})
	.meta({ description: "A workload's exact SPIFFE id, such as spiffe://example.org/ns/team-a/sa/web." });

const DOMAIN_HINT = "write a trust domain such as example.org, without spiffe://";

/** The name of a SPIFFE trust domain. */
export const trustDomain = z
	.string({ error: DOMAIN_HINT })
	.transform((value, context): string => {
		const fault = trustDomainFault(value);
		return fault === null ? value : refuse(context, DOMAIN_HINT, `${fault} (${JSON.stringify(value.slice(0, 80))})`);
	})
	.meta({ description: "A SPIFFE trust domain, such as example.org." });
