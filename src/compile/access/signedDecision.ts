/** The content of a signed decision: proof, for one hop, that the sidecar allowed this request. */

/** Request header of the decision; clients cannot send it (compile/plan/headers.ts strips the prefix). */
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

/** A port: the header's value; null = no identity to sign with. */
export type SignDecision = (facts: DecisionFacts) => string | null;
