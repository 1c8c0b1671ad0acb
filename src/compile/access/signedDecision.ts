/** What a signed decision binds: the proof, for one hop, that the sidecar has allowed this very request. */

/** Request header in which it rides; clients cannot send it (compiler/headers.ts strips the prefix). */
export const DECISION_HEADER = "x-weir-decision";

export interface DecisionFacts {
	readonly method: string;
	/** With query, exactly as the next hop gets it. */
	readonly path: string;
	/** As the client wrote it. */
	readonly host: string;
	/** Qualified name. */
	readonly service: string;
	readonly variant: string;
	/** SPIFFE id of the caller; null = none was proved. */
	readonly principal: string | null;
}

/** A port: the header's value; null = there is no identity to sign with now. */
export type SignDecision = (facts: DecisionFacts) => string | null;
