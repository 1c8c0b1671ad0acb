/** Requests that servers read in different ways, although Envoy lets them through: refused where access is judged. */

export interface SentRequest {
	/** Path with query, as Envoy has it after normalisation. */
	readonly path: string;
	/** As the client wrote it (:authority). */
	readonly host: string;
	/** Each value of a request header apart, in order, latin1; lower-case name. */
	headerValues(name: string): readonly string[];
}

/** Why the request is not canonical, in a few words without anything of it; null = it is. */
export function canonicalFault(_request: SentRequest): string | null {
	return null;
}
