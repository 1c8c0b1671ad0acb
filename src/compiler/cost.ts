/**
 * What each execution of a rule costs, so that `explain` can say what a choice costs: CPU microseconds a request above
 * a plain route, Envoy and sidecar together. Measured by `npm run bench -- explain-cost` on 2026-11-24 (Envoy 1.40.0, 2
 * cores); on another machine the ratio holds, not the number.
 */

export interface Cost {
	/** null = Envoy cannot do it. */
	readonly nativeUs: number | null;
	/** One callout carries all rules of a Service: it is paid once. */
	readonly calloutUs: number;
}

const MEASURED = { access: { native: 6, callout: 79 }, experiment: { native: 4, callout: 78 } } as const;

/** Of deciding access, or of assigning. */
export function ruleCost(rule: keyof typeof MEASURED, canBeNative: boolean): Cost {
	const { native, callout } = MEASURED[rule];
	return { nativeUs: canBeNative ? native : null, calloutUs: callout };
}

/** In words, for a person. */
export function costText({ nativeUs, calloutUs }: Cost, execution: "native" | "callout"): string {
	const here = execution === "native" ? nativeUs : calloutUs;
	const there = execution === "native" ? calloutUs : nativeUs;
	const other = execution === "native" ? "by the sidecar" : "natively";
	const instead = there === null ? "" : `; ${other} ${there} µs`;
	const shared = execution === "callout" ? ", shared by the Service's rules" : "";
	return `about ${here} µs of CPU a request${shared}${instead}`;
}
