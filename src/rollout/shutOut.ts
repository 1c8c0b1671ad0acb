/**
 * Whom a promotion would shut out: callers outside of the Experiment get the Service's default Variant, and where an
 * AccessPolicy lets them use the one of now and not the winner's they would be refused for good. Nobody's health shows it, for
 * they are no units. So the loop does not begin such a promotion, and a person says that it is meant. Judged where it begins:
 * a policy that changes during a takeover is a person's act. Pure.
 */

import { shutOutBy } from "../access/review/shutOut.js";
import { policiesOf } from "../access/rules/selection.js";
import { accessTable } from "../access/rules/table.js";
import { SHUT_OUT_NAMED_MAX } from "../limits.js";
import { findQualified, serviceOf } from "../resources/lookup.js";
import { once, oncePerName } from "../resources/once.js";
import { type AccessPolicy, type Experiment, qualifiedName, type ResourceSet } from "../resources/resource.js";
import type { ShutOut } from "./decision.js";
import { liveDefault, type Status } from "./status.js";

type Rules = Pick<ResourceSet, "services" | "accessPolicies" | "referenceGrants">;

interface Judged {
	readonly resources: Rules;
	readonly status: Pick<Status, "services">;
}

/** Whom the promotion of one arm would shut out. To ask costs little, the answer may take up to a second. */
export interface ShutOutQuestion {
	/** All that the answer comes from: the two Variants, and the rules about the Service. Empty: nobody, in any case. */
	readonly basis: readonly string[];
	/** null: nobody. Known from the second time on, for as long as there are these resources. */
	answer(): ShutOut | null;
}

/** @param nowMs 0: at any time */
export function askShutOut(
	{ resources, status }: Judged,
	experiment: Experiment,
	arm: string,
	nowMs: number,
): ShutOutQuestion {
	const rules = rulesIn(resources)(serviceOf(experiment));
	const to = experiment.spec.arms.find(({ name }) => name === arm)?.variant;
	if (rules === null || to === undefined) return NOBODY;
	const from = liveDefault(rules.service, status);
	const lasting = rules.enforced.filter(({ untilMs }) => untilMs > nowMs).map(({ text }) => text);
	return {
		basis: [from, to, String(rules.service.spec.access), ...lasting],
		answer: () => {
			// How many last says which: they end in one order.
			const key = JSON.stringify([from, to, lasting.length]);
			const known = rules.answered.get(key);
			const found = known === undefined ? shutOut(from, to, shutOutBy(rules.access(), from, to, nowMs)) : known;
			rules.answered.set(key, found);
			return found;
		},
	};
}

const NOBODY: ShutOutQuestion = { basis: [], answer: () => null };

/** Of a Service, worked out once for all that is asked of these resources. */
const rulesIn = once(({ services, accessPolicies, referenceGrants }: Rules) =>
	oncePerName((name) => {
		const service = findQualified(services, name);
		if (service === undefined) return null;
		return {
			service,
			enforced: policiesOf(service, accessPolicies, referenceGrants)
				.filter(({ spec }) => spec.mode === "enforce")
				.map((policy) => ({ untilMs: policy.spec.validUntilMs ?? Number.POSITIVE_INFINITY, text: textOf(policy) })),
			access: () => accessTable(service, accessPolicies, referenceGrants),
			answered: new Map<string, ShutOut | null>(),
		};
	}),
);

const textOf = once(({ metadata, spec }: AccessPolicy) => JSON.stringify([qualifiedName(metadata), spec]));

function shutOut(from: string, to: string, policies: readonly string[] | null): ShutOut | null {
	if (policies === null) return { from, to, policies: [], more: 0, tooMany: true };
	if (policies.length === 0) return null;
	const named = policies.slice(0, SHUT_OUT_NAMED_MAX);
	return { from, to, policies: named, more: policies.length - named.length };
}

/** What it is, without the full stop. */
export function shutOutWords(one: ShutOut): string {
	return one.tooMany
		? `there are too many AccessPolicies to tell whether requests may use variant ${one.from}, the Service's default, that may not use ${one.to}`
		: `by ${policyNames(one)} requests may use variant ${one.from}, the Service's default, that may not use ${one.to}`;
}

/** What ends it, without the full stop. */
export function shutOutCure({ from, to, tooMany }: ShutOut): string {
	return tooMany
		? `let fewer AccessPolicies tell ${from} and ${to} apart (one for both: name both in its variants)`
		: `let AccessPolicies say of ${to} what they say of ${from} (an allow: name both in its variants)`;
}

/** `AccessPolicy a, b and 3 more` */
export function policyNames({ policies, more }: ShutOut): string {
	return `AccessPolicy ${policies.join(", ")}${more === 0 ? "" : ` and ${more} more`}`;
}

/** For who declares Experiments that may promote by themselves: one sentence a challenger, without the full stop. */
export function shutOutWarnings(
	state: Judged,
	experiments: readonly Experiment[],
	nowMs: number,
): readonly { readonly experiment: string; readonly because: string }[] {
	return experiments
		.filter(({ spec }) => spec.goal !== null)
		.flatMap((one) => one.spec.arms.filter(({ baseline }) => !baseline).map(({ name: arm }) => ({ one, arm })))
		.flatMap(({ one, arm }) => {
			const found = askShutOut(state, one, arm, nowMs).answer();
			if (found === null) return [];
			const because = `${arm} will not be promoted by itself: ${shutOutWords(found)}; ${shutOutCure(found)}`;
			return [{ experiment: qualifiedName(one.metadata), because }];
		});
}
