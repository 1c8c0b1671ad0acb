/**
 * GET /readyz: whether control works, with notes for faults that do not make it unready. Any client of the trust domain
 * may read it, so it has no resource names and no Envoy errors; `weir status` has them.
 */
import { setTimeout as pause } from "node:timers/promises";
import { closedServices } from "../../decide/rollout/closedServices.js";
import { refusalsOf } from "../../decide/rollout/refusal.js";
import { unansweredTables } from "../../decide/rollout/unansweredTables.js";
import { PUBLICATION_LAG_MS } from "../../limits/index.js";
import type { Store } from "../state/store/store.js";
import type { AlarmSources } from "./alarmSources.js";
import type { Answer } from "./http.js";
import {
	EVENTS_UNWRITTEN,
	IDENTITY_UNRENEWED,
	NO_CLIENTS,
	NO_KEYS,
	NO_SIDECAR_KEYS,
	PLAN_UNKEPT,
	STATE_UNWRITTEN,
	UNANSWERED,
} from "./wire.js";

/** How long /readyz waits for its notes: probes time out after a second, and a note must not cause that. */
const READY_NOTES_MS = 250;

export interface ReadinessSources extends AlarmSources {
	readonly store: Store;
	/** Why control is not ready, one sentence each, without resource names. Empty = ready. */
	readonly ready: () => readonly string[];
	readonly now: () => number;
}

/** Notes on control itself, by alarm. */
const CONTROL_NOTES = {
	[STATE_UNWRITTEN]: "writes to control's state fail (weir status)",
	[EVENTS_UNWRITTEN]: "writes to ingest's store fail (weir status)",
	[IDENTITY_UNRENEWED]: "an identity of control or of its sidecar is not renewed (weir status)",
	[PLAN_UNKEPT]: "the plan in force is not stored on control's disk (weir status)",
};

/** 503 with the reasons, or 200. */
export async function readiness(sources: ReadinessSources): Promise<Answer> {
	const { ready, lag } = sources;
	const reasons = [ready(), lag() ?? [], untaken(sources), refusals(sources)].flat();
	const notes = await notesOf(sources);
	const lines = reasons.length === 0 ? ["ready"] : reasons;
	const text = [...lines, ...notes.map((note) => `note: ${note}`)].map((line) => `${line}\n`).join("");
	return { status: reasons.length === 0 ? 200 : 503, text, contentType: "text/plain; charset=utf-8" };
}

function refusals({ store, now }: ReadinessSources): readonly string[] {
	const lasting = refusalsOf(store.proxies.proxies).filter(({ sinceMs }) => now() - sinceMs >= PUBLICATION_LAG_MS);
	if (lasting.length === 0) return [];
	const nodes = new Set(lasting.map(({ node }) => node)).size;
	const types = [...new Set(lasting.map(({ type }) => type))].sort().join(", ");
	const since = new Date(Math.min(...lasting.map(({ sinceMs }) => sinceMs))).toISOString();
	return [`${nodes} of the Envoys and sidecars refuse ${types}, since ${since} (weir status)`];
}

function untaken({ store, now }: ReadinessSources): readonly string[] {
	const lasting = unansweredTables(store.proxies.proxies, now());
	if (lasting.length === 0) return [];
	const since = new Date(Math.min(...lasting.map(({ sinceMs }) => sinceMs))).toISOString();
	return [`sidecars that have not accepted their newest table since ${since}: ${lasting.length} (weir status)`];
}

async function notesOf({ store, alarms }: ReadinessSources): Promise<readonly string[]> {
	const closed = closedServices(store.proxies.proxies).length;
	const active = await alarms(pause(READY_NOTES_MS, null, { ref: false }));
	// Several Gateways may trust one issuer.
	const keyless = new Set(active.filter(({ alarm }) => alarm === NO_KEYS).map(({ why }) => why)).size;
	const gatewaysOf = (one: string): number => active.filter(({ alarm }) => alarm === one).length;
	const counts: readonly (readonly [string, number])[] = [
		["closed Services, whose configuration Envoy rejected", closed],
		["token issuers without a usable key for Envoy", keyless],
		["Gateways that refuse tokens, because the sidecar has no key of their issuer", gatewaysOf(NO_SIDECAR_KEYS)],
		["Gateways that get no verdict from the sidecar at times", gatewaysOf(UNANSWERED)],
		["Gateways that accept no client", gatewaysOf(NO_CLIENTS)],
	];
	return [
		...counts.flatMap(([what, count]) => (count === 0 ? [] : [`${what}: ${count} (weir status)`])),
		...Object.entries(CONTROL_NOTES).flatMap(([one, note]) => (active.some(({ alarm }) => alarm === one) ? note : [])),
	];
}
