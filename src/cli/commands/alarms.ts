/** What `weir status` says first: alarms of the built-in probe that stand now, and Gateways that it leaves out. */
import { closureWords } from "../../rollout/closedServices.js";
import { refusalWords } from "../../rollout/refusal.js";
import { untakenWords } from "../../rollout/untaken.js";
import {
	EVENTS_UNWRITTEN,
	IDENTITY_UNRENEWED,
	KEYS_NOTE,
	NO_CLIENTS,
	NO_SIDECAR_KEYS,
	PLAN_UNKEPT,
	PROXY_REFUSED,
	REMOTE_NOTE,
	STATE_UNWRITTEN,
	type StatusAnswer,
	UNANSWERED,
} from "../../state/api/wire.js";

export const ALARM_WORDS: Readonly<Record<string, string>> = {
	"probe-passed": "a request that every policy denies was not refused",
	"probe-misjudged": "the filter that must refuse the built-in probe did not, another one did",
	"probe-unanswered": "no verdict can be had, or nobody listens",
	"served-unjudged": "more requests of protected Services were served than were judged",
	"served-past-gateways":
		"requests reached protected Services by no Gateway's listener, or by no route of Weir's (weir probe)",
	"foreign-listener":
		"this machine's Envoy has listeners that are no Gateway's: nothing of Weir's judges what comes by them (weir probe)",
	"verdicts-uncounted": "nobody knows whether what is served there is judged",
	"probe-memory-lost":
		"what the built-in probe knew could not be read, so that an alarm which stood may be told no more: see the log, then remove probe-memory.lost from control's data directory",
	"probe-memory-unwritten":
		"what the built-in probe knows cannot be written to the disk: a restart would forget alarms that stand",
	[NO_CLIENTS]: "nobody can connect there",
	[PROXY_REFUSED]: "one of its trusted proxies can never connect, as it takes ids of the mesh's own trust domain alone",
	"entries-dropped": "its Envoy dropped access-log entries: denials are missing, and requests' ends",
	"decisions-dropped":
		"records of the decision log are dropped: its disk is full or too slow, or some cannot be kept (ingest's log)",
	[PLAN_UNKEPT]:
		"what Envoys are given is in force and is not on control's disk: where control starts anew before it is, its requests cannot be told",
	[STATE_UNWRITTEN]:
		"control's disk takes no more of the state: what is applied, approved or decided is refused, but for what needs no room",
	[EVENTS_UNWRITTEN]:
		"ingest's disk does not take what it hears: outcomes are refused, the rest waits and is lost in the end",
	[IDENTITY_UNRENEWED]:
		"the agent (weir ca, SPIRE) gives no newer SVID: once the last has ended, nobody connects to that part, nor that part to anybody (the cause is in its log)",
	"requests-unrecorded": "what an Envoy does is not recorded: its denials and exposures are lost",
	"sidecar-missing": "requests there that need the sidecar get no answer: run weir sidecar --control beside each Envoy",
	[NO_SIDECAR_KEYS]:
		"tokens are refused (401) as the sidecar has no key of their issuer: it cannot be asked, or what it answers holds no usable key (the sidecar's log)",
	[UNANSWERED]:
		"requests get 503 as the sidecar gives no verdict: it is away or late, or is asked for more than it can, which rateLimits bound (weir explain)",
	"connections-refused": "it or its Envoy held as many connections as it may, so that new ones were closed",
};

/** Lines of what Envoys and sidecars refuse: whatever was changed since does not hold there, a revocation neither. */
export const refusalLines = (refusals: StatusAnswer["refusals"]): readonly string[] =>
	refusals.map((one) => `ALARM refused: ${refusalWords(one)}`);

/** Lines of what is declared and does not hold yet: anywhere, or at a sidecar. */
export const behindLines = ({ lag, untaken = [] }: Pick<StatusAnswer, "lag" | "untaken">): readonly string[] => [
	...(lag == null ? [] : [`BEHIND ${lag}: what was changed since then does not hold yet`]),
	...untaken.map((one) => `BEHIND ${untakenWords(one)}: what was changed since then does not hold there yet`),
];

/** Lines of Services that Envoys refused; of other namespaces nothing is said. */
export const closureLines = (closed: StatusAnswer["closed"]): readonly string[] =>
	closed.map((one) => `ALARM closed: ${closureWords(one)}`);

/** Lines of what stands and would be refused today. */
export const faultLines = (faults: StatusAnswer["faults"] = []): readonly string[] =>
	faults.map(({ resource, words }) => `WARNING ${resource}: ${words}`);

/** A line per alarm; silence is no proof that none stands where nobody can say. */
export function alarmLines(alarms: StatusAnswer["alarms"], known: StatusAnswer["knownAlarms"] = []): readonly string[] {
	if (alarms === null) return ["ALARMS NOT KNOWN: control's xds does not answer", ...alarmLines(known)];
	return alarms.map(({ gateway, alarm, why, envoy }) => {
		const of = ofEnvoy(envoy);
		if (alarm === null) return `not probed: Gateway ${gateway}${of}: ${why}`;
		const at = gateway === "" ? "" : `Gateway ${gateway}: `;
		if (alarm === KEYS_NOTE || alarm === REMOTE_NOTE) return `note: ${at}${why}`;
		const known = of === "" ? ALARM_WORDS[alarm] : wordsThere(alarm);
		const words = [known, why].filter((one) => one !== undefined && one !== null).join(": ");
		return gateway === "" ? `ALARM ${alarm}${of}: ${words}` : `ALARM ${alarm} at Gateway ${gateway}${of}: ${words}`;
	});
}

/** Of an Envoy of another machine. */
const wordsThere = (alarm: string): string | undefined =>
	ALARM_WORDS[alarm]?.replace("this machine's Envoy", "it").replace("probe-memory.lost", "probe-memories/*.lost");

/** Which Envoy, where it is another machine's. */
export const ofEnvoy = (envoy: string | undefined): string => (envoy === undefined ? "" : ` of Envoy ${envoy}`);
