/** How all stands, as a caller may see it: `weir status`. */

import { closuresOf } from "../../decide/rollout/closedServices.js";
import type { State } from "../../decide/rollout/ports.js";
import { refusalsOf } from "../../decide/rollout/refusal.js";
import { liveDefault } from "../../decide/rollout/status.js";
import { unansweredTables } from "../../decide/rollout/unansweredTables.js";
import { lapsedLimits } from "../../declare/resources/checks/callout.js";
import { withdrawn } from "../../declare/resources/checks/withdrawn.js";
import { serviceOf } from "../../declare/resources/lookup.js";
import { resourceTitle } from "../../declare/resources/position.js";
import { namespaceOf, qualifiedName, type Resource } from "../../declare/resources/resource.js";
import { phasesOf, withDefault } from "../state/acts/crossCheck.js";
import type { Operations } from "../state/acts/operations.js";
import type { Publication } from "../state/publication.js";
import { ALL_NAMESPACES } from "../state/rights/permissions.js";
import type { Store } from "../state/store/store.js";
import type { AlarmSources } from "./alarmSources.js";
import type { Call } from "./http.js";
import { visibleState } from "./visible.js";
import type { GatewayAlarm, StatusAnswer } from "./wire.js";

export interface StatusSources extends AlarmSources {
	readonly store: Store;
	readonly acts: Operations;
	readonly publication: Publication;
	readonly now: () => number;
}

export async function statusAnswer(door: StatusSources, call: Call): Promise<StatusAnswer> {
	const [alarms, own] = await Promise.all([door.alarms(), door.ownAlarms()]);
	return answerOf(door, call, { alarms, own });
}

function answerOf(
	{ store, acts, publication, now }: StatusSources,
	{ caller }: Call,
	{ alarms, own }: { readonly alarms: readonly GatewayAlarm[] | null; readonly own: readonly GatewayAlarm[] },
): StatusAnswer {
	const mayRead = acts.rights.mayRead(caller);
	const mayBeTold = ({ gateway }: GatewayAlarm): boolean =>
		mayRead(gateway === "" ? ALL_NAMESPACES : namespaceOf(gateway));
	const { revision, resources, status } = visibleState(store.current, mayRead);
	return {
		...acts.rights.partly(caller),
		revision,
		lag: publication.lag(),
		untaken: unansweredTables(store.proxies.proxies, now()),
		refusals: refusalsOf(store.proxies.proxies).map((one) =>
			mayRead(namespaceOf(one.source.split(" ").at(-1) ?? "")) ? one : { ...one, source: "", error: "" },
		),
		closed: closuresOf(store.proxies.proxies).filter(({ service }) => mayRead(namespaceOf(service))),
		faults: faultsOf(store.current)
			.filter(({ resource }) => mayRead(resource.metadata.namespace))
			.map(({ resource, words }) => ({ resource: resourceTitle(resource), words })),
		...(alarms === null
			? { alarms, knownAlarms: own.filter(mayBeTold) }
			: { alarms: [...own, ...alarms].filter(mayBeTold) }),
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
			};
		}),
	};
}

/** Resources that have no effect any more: a grant was withdrawn, or a promotion changed who decides. */
export function faultsOf({
	resources,
	status,
}: Pick<State, "resources" | "status">): readonly { readonly resource: Resource; readonly words: string }[] {
	const { ended } = phasesOf(status);
	const served = {
		...resources,
		services: resources.services.map((one) => withDefault(one, liveDefault(one, status))),
		experiments: resources.experiments.filter(({ metadata }) => !ended.has(qualifiedName(metadata))),
	};
	return [...withdrawn(resources), ...lapsedLimits(served)];
}
