/** How all stands, as a caller may see it: `weir status`. */
import { serviceOf } from "../../resources/lookup.js";
import { namespaceOf, qualifiedName } from "../../resources/resource.js";
import { closuresOf } from "../../rollout/closedServices.js";
import { refusalsOf } from "../../rollout/refusal.js";
import { liveDefault } from "../../rollout/status.js";
import { untakenOf } from "../../rollout/untaken.js";
import { ALL_NAMESPACES } from "../rights/permissions.js";
import { standing } from "../standingFaults.js";
import { actCall, type Call } from "./http.js";
import type { PublicDoor } from "./publicDoor.js";
import { visibleState } from "./visible.js";
import type { GatewayAlarm, StatusAnswer } from "./wire.js";

/** @throws WeirError as `demandReading` does, for there may be thousands of Experiments */
export async function statusAnswer(door: PublicDoor, call: Call): Promise<StatusAnswer> {
	const [alarms, own] = await Promise.all([door.alarms(), door.ownAlarms()]);
	const tell = () => answerOf(door, call, { alarms, own });
	return door.acts.rights.telling(actCall(call, door.now()), ["/v1/status"], tell);
}

function answerOf(
	{ store, acts, publication, now }: PublicDoor,
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
		untaken: untakenOf(store.proxies.proxies, now()),
		refusals: refusalsOf(store.proxies.proxies).map((one) =>
			mayRead(namespaceOf(one.source.split(" ").at(-1) ?? "")) ? one : { ...one, source: "", error: "" },
		),
		closed: closuresOf(store.proxies.proxies).filter(({ service }) => mayRead(namespaceOf(service))),
		...standing(store.current, store.faults.now, mayRead),
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
				last: store.lastDecision(name, mayRead),
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
