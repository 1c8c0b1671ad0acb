/**
 * Whom a promotion would shut out: callers outside of the Experiment get the Service's default Variant, and where an
 * AccessPolicy lets them use the one of now and not the winner's they would be refused for good. Nobody's health shows it, for
 * they are no units. So the loop does not begin such a promotion, and a person says that it is meant. Judged where it begins:
 * a policy that changes during a takeover is a person's act. Pure.
 */
import { shutOutBy } from "../access/shutOut.js";
import { accessTable } from "../access/table.js";
import { SHUT_OUT_NAMED_MAX } from "../limits.js";
import { findQualified } from "../resources/lookup.js";
import { type Experiment, qualifiedName, type ResourceSet } from "../resources/resource.js";
import type { ShutOut } from "./decision.js";
import { liveDefault, type Status } from "./status.js";

type Rules = Pick<ResourceSet, "services" | "accessPolicies" | "referenceGrants">;

/** By challenger; who shuts out nobody is left out. @param nowMs 0: at any time */
export function shutOuts(state: Judged, experiment: Experiment, nowMs: number): Readonly<Record<string, ShutOut>> {
	return shutOutJudge(state, nowMs)(experiment);
}

interface Judged {
	readonly resources: Rules;
	readonly status: Pick<Status, "services">;
}

/** For several Experiments: two Variants of a Service are judged once, whichever of them asks. */
function shutOutJudge(
	{ resources, status }: Judged,
	nowMs: number,
): (experiment: Experiment) => Readonly<Record<string, ShutOut>> {
	const judgeOf = remembered((name: string) => {
		const service = findQualified(resources.services, name);
		if (service === undefined) return null;
		const access = accessTable(service, resources.accessPolicies, resources.referenceGrants);
		const from = liveDefault(service, status);
		return remembered((to: string) => shutOut(from, to, shutOutBy(access, from, to, nowMs)));
	});
	return ({ metadata: { namespace }, spec }) => {
		const judge = judgeOf(qualifiedName({ name: spec.service, namespace }));
		return Object.fromEntries(
			spec.arms.flatMap((arm) => {
				const found = arm.baseline ? null : (judge?.(arm.variant) ?? null);
				return found === null ? [] : [[arm.name, found]];
			}),
		);
	};
}

function shutOut(from: string, to: string, policies: readonly string[] | null): ShutOut | null {
	if (policies === null) return { from, to, policies: [], more: 0, tooMany: true };
	if (policies.length === 0) return null;
	const named = policies.slice(0, SHUT_OUT_NAMED_MAX);
	return { from, to, policies: named, more: policies.length - named.length };
}

function remembered<Result>(judge: (name: string) => Result): (name: string) => Result {
	const known = new Map<string, { readonly result: Result }>();
	return (name) => {
		const one = known.get(name) ?? { result: judge(name) };
		known.set(name, one);
		return one.result;
	};
}

/** What it is, without the full stop. */
export function shutOutWords(one: ShutOut): string {
	return one.tooMany
		? `there are too many AccessPolicies to tell whether requests may use variant ${one.from}, the Service's default, that may not use ${one.to}`
		: `by ${policiesOf(one)} requests may use variant ${one.from}, the Service's default, that may not use ${one.to}`;
}

/** What ends it, without the full stop. */
export function shutOutCure({ from, to, tooMany }: ShutOut): string {
	return tooMany
		? `let fewer AccessPolicies tell ${from} and ${to} apart (one for both: name both in its variants)`
		: `let AccessPolicies say of ${to} what they say of ${from} (an allow: name both in its variants)`;
}

/** `AccessPolicy a, b and 3 more` */
export function policiesOf({ policies, more }: ShutOut): string {
	return `AccessPolicy ${policies.join(", ")}${more === 0 ? "" : ` and ${more} more`}`;
}

/** For who declares Experiments that may promote by themselves: one sentence a challenger, without the full stop. */
export function shutOutWarnings(
	state: Judged,
	experiments: readonly Experiment[],
	nowMs: number,
): readonly { readonly experiment: string; readonly because: string }[] {
	const judge = shutOutJudge(state, nowMs);
	return experiments
		.filter(({ spec }) => spec.goal !== null)
		.flatMap((one) =>
			Object.entries(judge(one)).map(([arm, found]) => ({
				experiment: qualifiedName(one.metadata),
				because: `${arm} will not be promoted by itself: ${shutOutWords(found)}; ${shutOutCure(found)}`,
			})),
		);
}
