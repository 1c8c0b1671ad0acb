/**
 * Text for claims about a latency quantile. Each arm has its own threshold for slow requests, and the margin lies between
 * the two. So an arm that equals the baseline has the smaller share.
 */
import { ofRequests } from "../../infer/statistics/slowShare.js";
import type { Finding } from "./decision.js";

/** A finding, or the part that describes its claim. */
export type QuantileClaim = Pick<Finding, "role" | "slow">;

/** `0.56%`, `20 ms`: four digits. */
const share = (value: number): string => `${Number((value * 100).toPrecision(4))}%`;
const ms = (value: number): string => `${Number(value.toPrecision(4))} ms`;

/** `40 ms (20 ms + 100%)`: what a request of the challenger must take to be slow. */
export function slowLimit(slow: NonNullable<Finding["slow"]>, role: Finding["role"]): string {
	const { baselineMs, challengerMs, effect } = slow;
	if (effect.value === 0) return ms(challengerMs);
	const by = effect.kind === "relative" ? share(effect.value) : ms(effect.value);
	return `${ms(challengerMs)} (${ms(baselineMs)} ${role === "goal" ? "-" : "+"} ${by})`;
}

/** `requests above 40 ms (20 ms + 100%) against the baseline's above 20 ms`: what is compared. */
export function slowComparison({ slow, role }: QuantileClaim): string {
	if (slow === undefined) return "share of slow requests";
	return `requests above ${slowLimit(slow, role)} against the baseline's above ${ms(slow.baselineMs)}`;
}

/** `on average 0.56% of a person's requests took longer than 40 ms (20 ms + 100%), 1% of the old version's longer than 20 ms` */
export function slowRequests({ slow, role, challenger, baseline }: Finding, owner: string): string {
	if (slow === undefined) return "";
	const own = `${ofRequests(share(challenger.mean))} took longer than ${slowLimit(slow, role)}`;
	return `${own}, ${share(baseline.mean)} of ${owner} longer than ${ms(slow.baselineMs)}`;
}
