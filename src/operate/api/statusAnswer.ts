/** `weir status`: the current state, as far as the caller may read it. */

import { closuresOf } from "../../decide/rollout/closedServices.js";
import type { State } from "../../decide/rollout/ports.js";
import { refusalsOf } from "../../decide/rollout/refusal.js";
import { liveDefault } from "../../decide/rollout/status.js";
import { unansweredTables } from "../../decide/rollout/unansweredTables.js";
import { lapsedLimits } from "../../declare/resources/checks/callout.js";
import { withoutEffect } from "../../declare/resources/checks/revokedReferences.js";
import { serviceOf } from "../../declare/resources/lookup.js";
import { resourceTitle } from "../../declare/resources/position.js";
import { namespaceOf, qualifiedName, type Resource } from "../../declare/resources/resource.js";
import { phasesOf, withDefault } from "../changes/crossCheck.js";
import type { Operations } from "../operations/operations.js";
import { ALL_NAMESPACES } from "../state/rights/permissions.js";
import type { Store } from "../state/store/store.js";
import type { AlarmSources } from "./alarmSources.js";
import type { Call } from "./http.js";
import { visibleState } from "./visible.js";
import type { GatewayAlarm, StatusAnswer } from "./wire.js";

export interface StatusSources extends AlarmSources {
	readonly store: Store;
	readonly operations: Operations;
	readonly now: () => number;
}

export async function statusAnswer(sources: StatusSources, call: Call): Promise<StatusAnswer> {
	return answerOf(sources, call, await sources.alarms());
}

function answerOf(
	{ store, operations, lag, now }: StatusSources,
	{ caller }: Call,
	alarms: readonly GatewayAlarm[],
): StatusAnswer {
	const mayRead = operations.rights.mayRead(caller);
	const isVisible = ({ gateway }: GatewayAlarm): boolean =>
		mayRead(gateway === "" ? ALL_NAMESPACES : namespaceOf(gateway));
	const { revision, resources, status } = visibleState(store.current, mayRead);
	const models = new Map(store.newestPlan?.services.map((one) => [one.name, one.models]));
	return {
		...operations.rights.partly(caller),
		revision,
		lag: lag(),
		untaken: unansweredTables(store.proxies.proxies, now()),
		refusals: refusalsOf(store.proxies.proxies).map((one) =>
			mayRead(namespaceOf(one.source.split(" ").at(-1) ?? "")) ? one : { ...one, source: "", error: "" },
		),
		closed: closuresOf(store.proxies.proxies).filter(({ service }) => mayRead(namespaceOf(service))),
		faults: faultsOf(store.current)
			.filter(({ resource }) => mayRead(resource.metadata.namespace))
			.map(({ resource, message }) => ({ resource: resourceTitle(resource), message })),
		alarms: alarms.filter(isVisible),
		experiments: resources.experiments.flatMap((one) => {
			const name = qualifiedName(one.metadata);
			const live = status.experiments[name];
			if (live === undefined) return [];
			const service = serviceOf(one);
			return {
				experiment: name,
				service,
				status: live,
				last: store.lastDecision(name),
			};
		}),
		services: resources.services.map((one) => {
			const name = qualifiedName(one.metadata);
			const declared = one.spec.defaultVariant;
			return {
				service: name,
				declaredDefaultVariant: declared,
				liveDefaultVariant: liveDefault(one, status),
				...(models.get(name) === undefined ? {} : { models: models.get(name) }),
			};
		}),
	};
}

/** Resources without effect: a grant was revoked, or a promotion changed the deciding Variant. */
export function faultsOf({
	resources,
	status,
}: Pick<State, "resources" | "status">): readonly { readonly resource: Resource; readonly message: string }[] {
	const { ended } = phasesOf(status);
	const served = {
		...resources,
		services: resources.services.map((one) => withDefault(one, liveDefault(one, status))),
		experiments: resources.experiments.filter(({ metadata }) => !ended.has(qualifiedName(metadata))),
	};
	return [...withoutEffect(resources), ...lapsedLimits(served)];
}
