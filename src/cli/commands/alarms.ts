/** The first lines of `weir status`: alarms, and changes that are not in force yet. */
import { closureText } from "../../decide/rollout/closedServices.js";
import { refusalText } from "../../decide/rollout/refusal.js";
import { unansweredTableText } from "../../decide/rollout/unansweredTables.js";
import {
	EVENTS_UNWRITTEN,
	IDENTITY_UNRENEWED,
	KEYS_NOTE,
	MODEL_NOT_SERVED,
	NO_CLIENTS,
	NO_SIDECAR_KEYS,
	PLAN_UNKEPT,
	PROBE_FAILED,
	PROXY_REFUSED,
	STATE_UNWRITTEN,
	type StatusAnswer,
	UNANSWERED,
} from "../../operate/api/wire.js";

export const ALARM_WORDS: Readonly<Record<string, string>> = {
	[PROBE_FAILED]: "a request that no policy allows was not denied, or no verdict or report came (weir probe)",
	[MODEL_NOT_SERVED]: "a Variant does not serve the model that it names",
	[NO_CLIENTS]: "no client can connect there",
	[PROXY_REFUSED]: "one of its trusted proxies can never connect, as it takes ids of the mesh's own trust domain alone",
	"decisions-dropped":
		"records of the access record log are dropped: its disk is full or too slow, or some cannot be kept (ingest's log)",
	[PLAN_UNKEPT]:
		"the plan in force is not stored on control's disk: if control restarts now, requests under this plan cannot be explained",
	[STATE_UNWRITTEN]:
		"writes to control's state fail: its disk is full or broken; changes, approvals and decisions are refused",
	[EVENTS_UNWRITTEN]:
		"writes to ingest's store fail: its disk is full or broken; outcomes are refused, other events wait and are lost in the end",
	[IDENTITY_UNRENEWED]:
		"the agent (weir ca, SPIRE) issues no new SVID: when the current one expires, that part accepts and opens no mTLS connections (cause: its log)",
	[NO_SIDECAR_KEYS]:
		"tokens are refused (401) as the sidecar has no key of their issuer: it cannot be asked, or what it answers holds no usable key (the sidecar's log)",
	[UNANSWERED]:
		"requests get 503 as the sidecar gives no verdict: it is away or late, or is asked for more than it can, which rateLimits bound (weir explain)",
};

/** Lines for configuration that Envoys or sidecars refuse: later changes, revocations too, are not in force there. */
export const refusalLines = (refusals: StatusAnswer["refusals"]): readonly string[] =>
	refusals.map((one) => `ALARM refused: ${refusalText(one)}`);

/** Lines for declared changes that are not in force yet. */
export const behindLines = ({ lag, untaken = [] }: Pick<StatusAnswer, "lag" | "untaken">): readonly string[] => [
	...(lag == null ? [] : [`BEHIND ${lag}: what was changed since then does not hold yet`]),
	...untaken.map((one) => `BEHIND ${unansweredTableText(one)}: what was changed since then does not hold there yet`),
];

/** Lines for Services that Envoys refused, in readable namespaces. */
export const closureLines = (closed: StatusAnswer["closed"]): readonly string[] =>
	closed.map((one) => `ALARM closed: ${closureText(one)}`);

/** Lines for resources in force that an apply would refuse today. */
export const faultLines = (faults: StatusAnswer["faults"] = []): readonly string[] =>
	faults.map(({ resource, message }) => `WARNING ${resource}: ${message}`);

/** A line per alarm. */
export function alarmLines(alarms: StatusAnswer["alarms"]): readonly string[] {
	return alarms.map(({ gateway, alarm, why, envoy }) => {
		const at = gateway === "" ? "" : `Gateway ${gateway}: `;
		if (alarm === KEYS_NOTE) return `note: ${at}${why}`;
		const of = envoy === undefined ? "" : ` of Envoy ${envoy}`;
		const text = [ALARM_WORDS[alarm], why].filter((one) => one !== undefined && one !== null).join(": ");
		return gateway === "" ? `ALARM ${alarm}${of}: ${text}` : `ALARM ${alarm} at Gateway ${gateway}${of}: ${text}`;
	});
}
