/**
 * What the demo runs in each mode, and what must come out of the rules for it to be right. The declaration is
 * the same for all; only the models behind the Variants change.
 */

export type Model = "plain" | "better" | "worse";

export interface DemoService {
	readonly service: string;
	readonly experiment: string;
	readonly baseline: { readonly model: Model; readonly delayMs: number };
	readonly challenger: { readonly model: Model; readonly delayMs: number };
	readonly requestsPerSecond: number;
	/** null: no verdict is demanded, only that it is never promoted. */
	readonly expected: "Promoted" | "RolledBack" | null;
}

export interface DemoMode {
	readonly aa: boolean;
	readonly swap: boolean;
	readonly noDelay: boolean;
}

const SLOW_MS = 100;

export function demoServices({ aa, swap, noDelay }: DemoMode): readonly DemoService[] {
	const variant = (model: Model, delayMs = 0) => ({ model, delayMs });
	if (aa) {
		return [
			service("employment", "boosted-vs-logistic", variant("plain"), variant("plain"), 480, null),
			service("employment-age", "age-only", variant("plain"), variant("plain"), 160, null),
			service("employment-slow", "slow-copy", variant("plain"), variant("plain"), 160, null),
		];
	}
	const main = swap
		? service("employment", "boosted-vs-logistic", variant("better"), variant("plain"), 480, "RolledBack")
		: service("employment", "boosted-vs-logistic", variant("plain"), variant("better"), 480, "Promoted");
	return [
		main,
		service("employment-age", "age-only", variant("plain"), variant("worse"), 160, "RolledBack"),
		// Without the delay the copy is as good as the original: never harmful, never better by the margin.
		service(
			"employment-slow",
			"slow-copy",
			variant("plain"),
			variant("plain", noDelay ? 0 : SLOW_MS),
			160,
			noDelay ? null : "RolledBack",
		),
	];
}

function service(
	name: string,
	experiment: string,
	baseline: DemoService["baseline"],
	challenger: DemoService["challenger"],
	requestsPerSecond: number,
	expected: DemoService["expected"],
): DemoService {
	return { service: name, experiment, baseline, challenger, requestsPerSecond, expected };
}
