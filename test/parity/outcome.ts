/** The observable result of a request, in one form for Envoy, the pure function and the judge. */

export interface Outcome {
	readonly verdict: "allow" | "deny" | "none";
	readonly reason: string;
	/** AccessPolicy that denied; allows are not named natively. */
	readonly policy: string | null;
	/** Sorted values of the response header x-weir-arm; null where denied. */
	readonly arms: readonly string[] | null;
	/** Variant that served; null where denied. */
	readonly variant: string | null;
	/** x-weir-arm and parameters as the upstream got them, sorted; null where denied. */
	readonly sent: readonly string[] | null;
	/** The Set-Cookie of a unit that was minted; null where none was, or denied. */
	readonly cookie: string | null;
	/** The upstream or a client saw what is Weir's own business. */
	readonly leaked?: true;
}
