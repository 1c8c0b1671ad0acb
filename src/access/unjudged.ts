/**
 * Whether what a listener served was judged, by its Envoy's counters: of each protected Service no more requests may be
 * sent on than got a verdict. Envoy counts verdicts by listener alone (of a route's RBAC it takes no prefix for counters,
 * of ext_proc neither), so that sums are compared: that others were judged excuses nobody, and which one was not, they do
 * not say.
 */
import { type Counters, movedBy } from "./counters.js";
import type { WatchedListener, WatchedService } from "./watched.js";

type Judge = WatchedService["judgedBy"];

const JUDGES: readonly Judge[] = ["envoy", "sidecar"];

/** Requests of protected Services were served that were not judged. */
export interface UnjudgedAlarm {
	readonly alarm: "served-unjudged";
	readonly gateway: string;
	/** Protected Services that were served, by qualified name: one of them at least unjudged. */
	readonly services: readonly string[];
	readonly judgedBy: Judge;
	/** How many requests, at least. */
	readonly served: number;
}

/** By judge: how many tries, at most, requests that were judged may still be sent on in. */
export type Owed = Readonly<Record<Judge, number>>;

/** The time between two readings of the counters of one Envoy. */
export interface Span {
	/** Those that move before a request is sent on, as they were before the others were read. */
	readonly before: Counters;
	/** And as they were after. */
	readonly after: Counters;
	/** What triesOwed() said at the first reading. */
	readonly owed: Owed;
	/** Routes may have changed meanwhile, and with them who judges which Service: only all judges together are compared. */
	readonly changed: boolean;
}

/**
 * Alarms of one listener. Requests that are under way can be judged before a reading and sent on after it: as many tries
 * are owed. One that was judged and never sent on (no endpoint, its client left) hides one that was not.
 * @param standing alarms of earlier readings. Silence proves nothing: one of this listener stands until each of its
 *   Services was served where all were judged, or is no longer there for that judge to judge
 */
export function unjudgedAlarms(
	listener: WatchedListener,
	{ before, after, owed, changed }: Span,
	standing: readonly UnjudgedAlarm[] = [],
): readonly UnjudgedAlarm[] {
	const { gateway, services } = listener;
	const routed = routedCounter(gateway);
	const came = !after.has(routed) || movedBy(routed, before, after) > 0;
	// Where none was under way and nobody was judged, retries too are of requests that were not. Else one may be of any, and
	// one that finds no connection is no try.
	const waited = underWay(gateway, before);
	return JUDGES.flatMap((judgedBy): readonly UnjudgedAlarm[] => {
		const judges = changed ? JUDGES : [judgedBy];
		const moved = judges.map((judge) => movedOf(listener, judge, before, after));
		const judged = sum(moved.map((one) => one.judged));
		const due = sum(judges.map((judge) => owed[judge]));
		const served = moved
			.flatMap(({ tries }) => tries)
			.map((one) => ({ ...one, fresh: judged + waited > 0 ? Math.max(0, one.count - one.retried) : one.count }))
			.filter(({ fresh }) => came && fresh > 0);
		const fresh = sum(served.map((one) => one.fresh));
		const own = new Set(services.filter((one) => one.judgedBy === judgedBy).map(({ name }) => name));
		const names = served.map(({ name }) => name).filter((name) => own.has(name));
		const earlier = standing.find((one) => one.gateway === gateway && one.judgedBy === judgedBy);
		const suspects = (earlier?.services ?? []).filter((name) => own.has(name));
		if (fresh > judged + due && names.length > 0) {
			const all = [...new Set([...suspects, ...names])];
			return [{ alarm: "served-unjudged", gateway, services: all, judgedBy, served: fresh - judged - due }];
		}
		// What is owed ends nothing: it may hide who was not judged.
		const proved = !changed && fresh <= judged ? names : [];
		const left = suspects.filter((name) => !proved.includes(name));
		return earlier === undefined || left.length === 0 ? [] : [{ ...earlier, services: left }];
	});
}

/**
 * Of one listener at a reading. Requests wait for their connection, in the back-off before a retry or in a callout, and
 * only those under way do. A try is owed by a verdict or a retry, and paid once: streams that stay open hide nothing for
 * long, for without verdicts each unjudged request uses up one.
 * @param span that ends at this reading; null = there was none before
 */
export function triesOwed(listener: WatchedListener, span: Omit<Span, "after"> | null, now: Counters): Owed {
	const most = underWay(listener.gateway, now);
	// By routes of before, another one may yet judge what is under way.
	if (span?.changed === true) return { envoy: most, sidecar: most };
	const of = (judge: Judge): number => {
		const { judged, tries } = movedOf(listener, judge, span?.before ?? new Map(), now);
		// Tries since Envoy's start may be of a time when that Service was open.
		if (span === null) return Math.min(most, judged);
		const paid = sum(tries.map(({ count, retried }) => count - retried));
		return Math.min(most, Math.max(0, span.owed[judge] + judged - paid));
	};
	return { envoy: of("envoy"), sidecar: of("sidecar") };
}

/** Where nothing is owed: at Envoy's start. */
export const NOTHING_OWED: Owed = { envoy: 0, sidecar: 0 };

/** Whether that Gateway's routes were replaced between two readings. */
export const routesChanged = (gateway: string, before: Counters, after: Counters): boolean =>
	[...after.keys()].some((name) => name.startsWith(`http.gateway.${gateway}.rds.`) && movedBy(name, before, after) > 0);

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

/** Verdicts of that judge between two readings, and how its Services were tried. */
function movedOf({ gateway, services }: WatchedListener, judge: Judge, before: Counters, after: Counters) {
	const moved = (name: string): number => movedBy(name, before, after);
	const prefix = `http.gateway.${gateway}`;
	return {
		judged:
			judge === "envoy"
				? moved(`${prefix}.rbac.weir_allow_.allowed`)
				: Math.min(
						moved(`${prefix}.ext_authz.weir_verdict.ok`) + moved(`${prefix}.ext_proc.weir_process.streams_started`),
						// Whoever is only assigned is asked about too.
						moved(`${prefix}.rbac.weir_proof_.allowed`),
					),
		tries: services
			.filter(({ judgedBy }) => judgedBy === judge)
			.map(({ name }) => ({
				name,
				// Route.stat_prefix (routeAction.ts): those that the router has sent on, then its retries, sent on or not.
				count: moved(`vhost.${name}.route.${gateway}.upstream_rq_total`),
				retried: moved(`vhost.${name}.route.${gateway}.upstream_rq_retry`),
			})),
	};
}

/** Requests of that Gateway that have not ended. */
const underWay = (gateway: string, at: Counters): number => at.get(`http.gateway.${gateway}.downstream_rq_active`) ?? 0;

/** Requests that came to the router of that Gateway, each once, of whichever Service. */
const routedCounter = (gateway: string): string => `http.gateway.${gateway}.rq_total`;

/** What moves before a request is sent on, as a regular expression for Envoy's `/stats?filter=`. */
export const VERDICTS_FILTER =
	"^(vhost\\..+\\.route\\..+\\.upstream_rq_retry|http\\.gateway\\..+\\.(rq_total|rds\\..+\\.config_reload|rbac\\.weir_(allow|proof)_\\.allowed|ext_authz\\.weir_verdict\\.ok|ext_proc\\.weir_process\\.streams_started))$";

/** And what moves then; requests under way are among it, which Envoy writes before tries. */
export const TRIES = "vhost\\..+\\.route\\..+\\.upstream_rq_total|http\\.gateway\\..+\\.downstream_rq_active";
