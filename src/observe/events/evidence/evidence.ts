/**
 * Evidence for the analysis. One transaction sees one state of the store: it adds new data (refresh.ts) and reads the
 * aggregates. Arms, batches, segments, periods and Variants come in a fixed order.
 */
import type {
	ArmEvidence,
	Evidence,
	EvidenceQuery,
	ExposureBatch,
	InteractionEvidence,
	SegmentEvidence,
	VariantHealth,
} from "../../../infer/statistics/evidence.js";
import type { EventStore, Row, Transaction } from "../store/store.js";
import { withCapital } from "./capital.js";
import { whole } from "./eras.js";
import { crossing } from "./interactions.js";
import { hasGrown, type Look, Looks, nextDueMs, queryKey } from "./looks.js";
import { newestOutcomes } from "./newestOutcomes.js";
import { Parts } from "./parts.js";
import { exposuresOf, PERIODS, REST, refresh } from "./refresh.js";

/** The newest first exposure is searched among this many units of all Experiments; an older one is not reported. */
const NEWEST_UNITS = 100_000;

/**
 * A metric whose refresh fails is left out and named; the evidence of the others is complete.
 * @param nowMs the store's clock: observations due before it are closed
 * @param looks earlier looks at this store; they make a look without new data nearly free
 * @param failed called for each such metric at every look
 */
export async function gatherEvidence(
	store: EventStore,
	query: EvidenceQuery,
	nowMs: number,
	looks: Looks = new Looks(),
	failed: (metric: string, thrown: unknown) => void = () => undefined,
): Promise<Evidence> {
	try {
		return await gather(store, query, nowMs, looks);
	} catch (thrown) {
		const unreadable = await unreadableOf(store, query, nowMs, failed);
		if (unreadable.length === 0) throw thrown;
		const metrics = query.metrics.filter(({ name }) => !unreadable.includes(name));
		return { ...(await gather(store, { ...query, metrics }, nowMs, looks)), unreadable };
	}
}

const ROLLED_BACK = new Error("rolled back");

/** Tries each metric alone, and rolls back its writes. */
async function unreadableOf(
	store: EventStore,
	query: EvidenceQuery,
	nowMs: number,
	failed: (metric: string, thrown: unknown) => void,
): Promise<readonly string[]> {
	const found: string[] = [];
	for (const metric of query.metrics) {
		try {
			await store.analysis.transaction(async (transaction) => {
				await refresh(transaction, { ...query, metrics: [metric] }, nowMs);
				throw ROLLED_BACK;
			});
		} catch (thrown) {
			if (thrown === ROLLED_BACK) continue;
			failed(metric.name, thrown);
			found.push(metric.name);
		}
	}
	return found;
}

async function gather(store: EventStore, query: EvidenceQuery, nowMs: number, looks: Looks): Promise<Evidence> {
	const last = looks.last(query, nowMs);
	const { evidence, look } = await store.analysis.transaction(async (transaction) => {
		const still = last !== null && !(await hasGrown(transaction, query.experiment, last));
		if (still && last.nextDueMs !== null && nowMs <= last.nextDueMs)
			return { evidence: await currentEvidence(transaction, query, nowMs, last), look: null };
		const { evidence, look } = await wholeLook(transaction, query, nowMs);
		// While units arrive at every look, the next due time is not needed.
		return { evidence, look: still ? { ...look, nextDueMs: await nextDueMs(transaction, query, nowMs) } : look };
	});
	looks.looked(query.experiment, nowMs);
	if (look !== null && query.interactsWith.length === 0) looks.keep(look);
	return evidence;
}

/** The evidence of the last look, if no data came since, with current health and losses. */
async function currentEvidence(
	transaction: Transaction,
	query: EvidenceQuery,
	nowMs: number,
	{ evidence, lossesSinceMs }: Look,
): Promise<Evidence> {
	const totals = await totalsOf(transaction, query, lossesSinceMs ?? query.healthSinceMs);
	const { newestExposureMs: _, ...kept } = evidence;
	return { ...kept, ...totals, ...(await presentOf(transaction, query, nowMs)), asOfMs: nowMs };
}

/** Evidence that does not come from aggregates. */
async function presentOf(
	transaction: Transaction,
	query: EvidenceQuery,
	nowMs: number,
): Promise<Pick<Evidence, "health" | "newestOutcomeMs">> {
	const outcomes = query.metrics.filter(({ source }) => source === "outcome").map(({ name }) => name);
	return {
		health: await variantHealth(transaction, query),
		newestOutcomeMs: await newestOutcomes(transaction, outcomes, nowMs),
	};
}

/** Excluded units of a holdback: first exposed in it, or forced in it without an earlier exposure. */
async function totalsOf(
	transaction: Transaction,
	{ experiment, exposedAfterMs }: EvidenceQuery,
	lossesSinceMs: number,
): Promise<Pick<Evidence, "conflictingUnits" | "droppedEntries" | "forcedUnits" | "newestExposureMs">> {
	const leftOut =
		exposedAfterMs === undefined
			? "conflicts WHERE experiment = $experiment"
			: `conflicts k LEFT JOIN units u USING (experiment, unit)
				WHERE experiment = $experiment AND coalesce(u.first_ms, k.at_ms) > ${whole(exposedAfterMs)}`;
	const [totals] = await transaction.rows(
		`SELECT (SELECT count(*) FROM ${leftOut} AND NOT forced) AS conflicts,
			(SELECT count(*) FROM ${leftOut} AND forced) AS forced,
			(SELECT max(first_ms) FROM units WHERE experiment = $experiment
				AND ordinal > (SELECT max(ordinal) FROM units) - ${NEWEST_UNITS}) AS newest,
			(SELECT coalesce(sum(entries), 0) FROM losses WHERE at_ms >= $since) AS lost`,
		{ experiment, since: BigInt(lossesSinceMs) },
	);
	return {
		conflictingUnits: Number(totals?.conflicts),
		droppedEntries: Number(totals?.lost),
		forcedUnits: Number(totals?.forced),
		...(totals?.newest == null ? {} : { newestExposureMs: Number(totals.newest) }),
	};
}

async function wholeLook(
	transaction: Transaction,
	query: EvidenceQuery,
	nowMs: number,
): Promise<{ readonly evidence: Evidence; readonly look: Look }> {
	const { experiment, metrics, healthSinceMs } = query;
	const { series, maturity, unit, conflict } = await refresh(transaction, query, nowMs);
	const rows = await transaction.rows("FROM aggregates WHERE experiment = $experiment ORDER BY ALL", { experiment });
	const parts = new Parts(rows, metrics, series, PERIODS);
	const capitals = metrics.some(({ range }) => range !== null)
		? await transaction.rows("FROM capitals WHERE experiment = $experiment ORDER BY ALL", { experiment })
		: [];
	const exposed = await exposuresOf(transaction, query);
	const points = await transaction.rows("FROM live_points WHERE experiment = $experiment ORDER BY ALL", { experiment });
	const arms = [...new Set(points.map((row) => String(row.arm)))].sort();
	const lossesSinceMs = exposed.length === 0 ? null : least(exposed, "received_ms");
	const evidence: Evidence = {
		experiment,
		asOfMs: nowMs,
		arms: arms.map((arm): ArmEvidence => {
			const { metrics: found, missingUnits } = parts.arm(arm);
			const units = exposed.filter((row) => row.arm === arm);
			return {
				arm,
				exposedUnits: total(units, "units"),
				maturedUnits: parts.maturedUnits(maturity, arm),
				metrics: withCapital(found, arm, metrics, series, capitals),
				missingUnits,
			};
		}),
		exposures: exposureBatches(points, exposed),
		...(await totalsOf(transaction, query, lossesSinceMs ?? healthSinceMs)),
		segments: await segmentEvidence(transaction, query, parts, arms),
		periods: parts.periods(arms, unitsByDay(exposed)),
		interactions: await interactionEvidence(transaction, query, parts),
		...(await presentOf(transaction, query, nowMs)),
	};
	const seen = { unit, conflict, points: points.length, nextDueMs: null, lossesSinceMs };
	return { evidence, look: { asked: queryKey(query), atMs: nowMs, ...seen, evidence } };
}

const total = (rows: readonly Row[], column: string): number => rows.reduce((sum, row) => sum + Number(row[column]), 0);

const least = (rows: readonly Row[], column: string): number => Math.min(...rows.map((row) => Number(row[column])));

function unitsByDay(exposed: readonly Row[]): ReadonlyMap<number, ReadonlyMap<string, number>> {
	const days = new Map<number, Map<string, number>>();
	for (const row of exposed) {
		const day = days.get(Number(row.day)) ?? new Map<string, number>();
		days.set(Number(row.day), day);
		day.set(String(row.arm), (day.get(String(row.arm)) ?? 0) + Number(row.units));
	}
	return days;
}

/** Every plan under which units were exposed, with all arms that it has live points for. */
function exposureBatches(points: readonly Row[], exposed: readonly Row[]): readonly ExposureBatch[] {
	const plans = [...new Set(exposed.map((row) => String(row.plan)))];
	const batches = plans.map((planVersion): ExposureBatch => {
		const own = exposed.filter((row) => row.plan === planVersion);
		const counts: Record<string, number> = {};
		const livePoints: Record<string, number> = {};
		for (const row of points.filter((row) => row.plan === planVersion)) {
			const arm = String(row.arm);
			counts[arm] = total(
				own.filter((row) => row.arm === arm),
				"units",
			);
			livePoints[arm] = Number(row.points);
		}
		return { planVersion, firstMs: least(own, "first_ms"), counts, livePoints };
	});
	return batches.sort((a, b) => a.firstMs - b.firstMs || (a.planVersion < b.planVersion ? -1 : 1));
}

async function segmentEvidence(
	transaction: Transaction,
	{ experiment, segments }: EvidenceQuery,
	parts: Parts,
	arms: readonly string[],
): Promise<readonly SegmentEvidence[]> {
	if (segments.length === 0) return [];
	const known = await transaction.rows(
		"SELECT segment, value FROM segment_values WHERE experiment = $experiment ORDER BY segment, rank",
		{ experiment },
	);
	return segments.flatMap((segment) => {
		const values = known.filter((row) => row.segment === segment).map((row) => String(row.value));
		return parts.segment(segment, arms, values, REST);
	});
}

async function interactionEvidence(
	transaction: Transaction,
	{ experiment, metrics, interactsWith }: EvidenceQuery,
	parts: Parts,
): Promise<readonly InteractionEvidence[]> {
	const names = metrics.map(({ name }) => name);
	const found: InteractionEvidence[] = [];
	for (const other of interactsWith) {
		const { units, sums } = await crossing(transaction, experiment, other, names);
		found.push(parts.interaction(other, sums, units));
	}
	return found;
}

async function variantHealth(
	transaction: Transaction,
	{ service, healthSinceMs }: EvidenceQuery,
): Promise<readonly VariantHealth[]> {
	const rows = await transaction.rows(
		`SELECT variant, count(*) AS requests, count(*) FILTER (unhealthy) AS failures FROM entries
		WHERE service = $service AND ended AND received_ms >= $since AND variant IS NOT NULL GROUP BY variant ORDER BY variant`,
		{ service, since: BigInt(healthSinceMs) },
	);
	return rows.map((row) => ({
		variant: String(row.variant),
		requests: Number(row.requests),
		failures: Number(row.failures),
	}));
}
