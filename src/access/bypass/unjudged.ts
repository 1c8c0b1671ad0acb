/**
 * Whether what a listener served was judged, by its Envoy's counters: of each protected Service no more requests may be
 * sent on, or answered, than got a verdict. Envoy counts verdicts by listener alone (of a route's RBAC it takes no prefix for
 * counters, of ext_proc neither), so that sums are compared: that others were judged excuses nobody, and which one was not,
 * they do not say. Either sign alone is blind: of a retry nobody says whether it found a connection, and who leaves before
 * the answer gets none.
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

/** What a request that came to the router leaves: tries, one or more, where it was sent on; one answer, where it was waited for. */
type Sign = "sent" | "answered";

const SIGNS: readonly Sign[] = ["sent", "answered"];

/** By judge: of requests that were judged, how many tries at most, and how many answers, are still to come. */
export type Owed = Readonly<Record<Sign, Readonly<Record<Judge, number>>>>;

/** The time between two readings of the counters of one Envoy. */
export interface Span {
	/** Those that move before a request is sent on, as they were before the others were read. */
	readonly before: Counters;
	/** And as they were after. */
	readonly after: Counters;
	/** What owedAt() said at the first reading. */
	readonly owed: Owed;
	/** Routes may have changed meanwhile, and with them who judges which Service: only all judges together are compared. */
	readonly changed: boolean;
}

/**
 * Alarms of one listener. Requests that are under way can be judged before a reading, and sent on or answered after it: as
 * many are owed. One that was judged and whose client left before it was answered hides one that was not.
 * @param standing alarms of earlier readings. Silence proves nothing: one of this listener stands until each of its
 *   Services was served where all were judged, or is no longer there for that judge to judge
 */
export function unjudgedAlarms(
	listener: WatchedListener,
	span: Span,
	standing: readonly UnjudgedAlarm[] = [],
): readonly UnjudgedAlarm[] {
	const { gateway, services } = listener;
	const moved = movedByJudge(listener, span.before, span.after);
	return JUDGES.flatMap((judgedBy): readonly UnjudgedAlarm[] => {
		const found = SIGNS.map((sign) => foundBy(sign, listener, judgedBy, span, moved));
		const own = new Set(services.filter((one) => one.judgedBy === judgedBy).map(({ name }) => name));
		const named = (served: Found["served"]) => served.map(({ name }) => name).filter((name) => own.has(name));
		const earlier = standing.find((one) => one.gateway === gateway && one.judgedBy === judgedBy);
		const suspects = (earlier?.services ?? []).filter((name) => own.has(name));
		const told = found.filter(({ over, served }) => over > 0 && named(served).length > 0);
		if (told.length > 0) {
			const all = new Set([...suspects, ...told.flatMap(({ served }) => named(served))]);
			const served = Math.max(...told.map(({ over }) => over));
			return [{ alarm: "served-unjudged", gateway, services: [...all], judgedBy, served }];
		}
		const [sent] = found;
		// What is owed ends nothing: it may hide who was not judged.
		const proved = !span.changed && found.every(({ covered }) => covered) ? named(sent?.served ?? []) : [];
		const left = suspects.filter((name) => !proved.includes(name));
		return earlier === undefined || left.length === 0 ? [] : [{ ...earlier, services: left }];
	});
}

/** What one sign says of one judge's Services. */
interface Found {
	/** Those that were served, with how many requests were. */
	readonly served: readonly { readonly name: string; readonly fresh: number }[];
	/** How many more than were judged, or may have been before. */
	readonly over: number;
	/** Whether as many were judged in this span. */
	readonly covered: boolean;
}

function foundBy(
	sign: Sign,
	{ gateway }: WatchedListener,
	judgedBy: Judge,
	{ before, after, owed, changed }: Span,
	all: MovedByJudge,
): Found {
	const routed = routedCounter(gateway);
	const came = !after.has(routed) || movedBy(routed, before, after) > 0;
	const judges = changed ? JUDGES : [judgedBy];
	const moved = judges.map((judge) => all[judge]);
	const judged = sum(moved.map((one) => one.judged));
	const due = sum(judges.map((judge) => owed[sign][judge]));
	// Where none was under way and nobody was judged, retries too are of requests that were not. Else one may be of any, and
	// one that finds no connection is no try.
	const mayBeTriedAgain = judged + underWay(gateway, before) > 0;
	const freshOf = ({ tries, retried, answered }: Moved): number => {
		if (sign === "answered") return answered;
		return mayBeTriedAgain ? Math.max(0, tries - retried) : tries;
	};
	const served = moved
		.flatMap(({ services }) => services)
		.map((one) => ({ name: one.name, fresh: freshOf(one) }))
		.filter(({ fresh }) => came && fresh > 0);
	const fresh = sum(served.map((one) => one.fresh));
	return { served, over: fresh - judged - due, covered: fresh <= judged };
}

/**
 * Of one listener at a reading. Requests wait for their connection, in the back-off before a retry, in a callout or for their
 * answer, and only those under way do. A try is owed by a verdict or a retry, an answer by a verdict, and each is paid once:
 * streams that stay open hide nothing for long, for without verdicts each unjudged request uses up one.
 * @param span that ends at this reading; null = there was none before
 */
export function owedAt(listener: WatchedListener, span: Omit<Span, "after"> | null, now: Counters): Owed {
	const most = underWay(listener.gateway, now);
	// By routes of before, another one may yet judge what is under way.
	const moved = span?.changed === true ? null : movedByJudge(listener, span?.before ?? new Map(), now);
	const of = (sign: Sign, judge: Judge): number => {
		if (moved === null) return most;
		const { judged, services } = moved[judge];
		// What was counted since Envoy's start may be of a time when that Service was open.
		if (span === null) return Math.min(most, judged);
		const paid = services.map(({ tries, retried, answered }) => (sign === "sent" ? tries - retried : answered));
		return Math.min(most, Math.max(0, span.owed[sign][judge] + judged - sum(paid)));
	};
	const by = (sign: Sign) => ({ envoy: of(sign, "envoy"), sidecar: of(sign, "sidecar") });
	return { sent: by("sent"), answered: by("answered") };
}

/** Where nothing is owed: at Envoy's start. */
export const NOTHING_OWED: Owed = { sent: { envoy: 0, sidecar: 0 }, answered: { envoy: 0, sidecar: 0 } };

/** Whether that Gateway's routes were replaced between two readings. */
export const routesChanged = (gateway: string, before: Counters, after: Counters): boolean =>
	[...after.keys()].some((name) => name.startsWith(`http.gateway.${gateway}.rds.`) && movedBy(name, before, after) > 0);

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

/** How one Service was served between two readings. */
interface Moved {
	readonly name: string;
	/** Found a connection. */
	readonly tries: number;
	/** Decided upon; whether they found one is not said. */
	readonly retried: number;
	/** Requests that came to the router and were answered: by an upstream, or by Envoy where none could be had or none was in time. */
	readonly answered: number;
}

type MovedByJudge = Readonly<Record<Judge, ReturnType<typeof movedOf>>>;

/** Once for all that is asked of it: there may be thousands of Services. */
const movedByJudge = (listener: WatchedListener, before: Counters, after: Counters): MovedByJudge => ({
	envoy: movedOf(listener, "envoy", before, after),
	sidecar: movedOf(listener, "sidecar", before, after),
});

/** Verdicts of that judge between two readings, and how its Services were served. */
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
		services: services
			.filter(({ judgedBy }) => judgedBy === judge)
			.map(({ name }): Moved => {
				// Route.stat_prefix (routeAction.ts).
				const route = `vhost.${name}.route.${gateway}`;
				// Each interim answer (100, 103) counts as one more; no protected Service is upgraded (101).
				const answered = moved(`${route}.upstream_rq_completed`) - moved(`${route}.upstream_rq_1xx`);
				return {
					name,
					tries: moved(`${route}.upstream_rq_total`),
					retried: moved(`${route}.upstream_rq_retry`),
					answered: Math.max(0, answered),
				};
			}),
	};
}

/** Requests of that Gateway that have not ended. */
const underWay = (gateway: string, at: Counters): number => at.get(`http.gateway.${gateway}.downstream_rq_active`) ?? 0;

/** Requests that came to the router of that Gateway, each once, of whichever Service. */
const routedCounter = (gateway: string): string => `http.gateway.${gateway}.rq_total`;

/** What moves before a request is sent on, as a regular expression for Envoy's `/stats?filter=`. */
export const VERDICTS_FILTER =
	"^(vhost\\..+\\.route\\..+\\.upstream_rq_(retry|1xx)|http\\.gateway\\..+\\.(rq_total|rds\\..+\\.config_reload|rbac\\.weir_(allow|proof)_\\.allowed|ext_authz\\.weir_verdict\\.ok|ext_proc\\.weir_process\\.streams_started))$";

/** And what moves then; requests under way are among it, which Envoy writes before tries and answers. */
export const TRIES =
	"vhost\\..+\\.route\\..+\\.upstream_rq_(total|completed)|http\\.gateway\\..+\\.downstream_rq_active";
