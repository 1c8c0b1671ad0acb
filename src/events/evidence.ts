/**
 * Aggregates by SQL: what the analysis reads. One transaction sees one state of the store: it closes the
 * observations that are due, then counts. Arms, batches and Variants come in a fixed order.
 */
import type {
	ArmEvidence,
	Evidence,
	EvidenceMetric,
	EvidenceQuery,
	ExposureBatch,
	Moments,
	VariantHealth,
} from "../analysis/evidence.js";
import { closeDue, DUE, frozenThreshold } from "./closing.js";
import type { EventStore, Transaction } from "./store.js";

/** Left out of everything: units seen in two arms. `alias` has experiment and unit. */
const unconflicted = (alias: string): string =>
	`NOT EXISTS (SELECT 1 FROM conflicts k WHERE k.experiment = ${alias}.experiment AND k.unit = ${alias}.unit)`;

/** @param nowMs the store's clock: observations due before it are closed */
export function gatherEvidence(store: EventStore, query: EvidenceQuery, nowMs: number): Promise<Evidence> {
	return store.analysis.transaction(async (transaction) => {
		const { experiment, healthSinceMs } = query;
		await closeDue(transaction, experiment, query.metrics, nowMs);
		const [totals] = await transaction.rows(
			`SELECT (SELECT count(*) FROM conflicts WHERE experiment = $experiment) AS conflicts,
				(SELECT coalesce(sum(entries), 0) FROM losses WHERE at_ms >= (
					SELECT coalesce(min(received_ms), $since) FROM units WHERE experiment = $experiment)) AS lost`,
			{ experiment, since: BigInt(healthSinceMs) },
		);
		return {
			experiment,
			asOfMs: nowMs,
			arms: await armEvidence(transaction, query, nowMs),
			exposures: await exposureBatches(transaction, experiment),
			conflictingUnits: Number(totals?.conflicts),
			health: await variantHealth(transaction, query),
			droppedEntries: Number(totals?.lost),
			forcedUnits: 0,
			segments: [],
			periods: [],
			interactions: [],
			newestOutcomeMs: {},
		};
	});
}

async function armEvidence(
	transaction: Transaction,
	{ experiment, metrics }: EvidenceQuery,
	nowMs: number,
): Promise<readonly ArmEvidence[]> {
	// A unit is mature when every metric's due time is over, whether or not it has that metric's observation.
	const due = metrics.map(({ windowMs, settleMs }) =>
		DUE.replace("$window", `${integer(windowMs)}`).replace("$settle", `${integer(settleMs)}`),
	);
	const mature = due.map((expression) => `${expression} < ${integer(nowMs)}`).join(" AND ");
	const exposed = await transaction.rows(
		`SELECT arm, count(u.unit) AS exposed, count(u.unit) FILTER (${mature === "" ? "TRUE" : mature}) AS matured
		FROM (SELECT DISTINCT arm FROM live_points WHERE experiment = $experiment) a
		LEFT JOIN (FROM units u WHERE u.experiment = $experiment AND ${unconflicted("u")}) u USING (arm)
		GROUP BY arm ORDER BY arm`,
		{ experiment },
	);
	const cutoffs = thresholdCutoffs(metrics);
	const moments = await transaction.rows(
		// favg is Kahan's compensated mean; var_pop is Welford's, merged by Chan's formula.
		`SELECT arm, metric, count(value) AS n, favg(value) AS mean, var_pop(value) * count(value) AS m2,
			count(*) - count(value) AS missing
		FROM observations o WHERE experiment = $experiment AND ${unconflicted("o")} AND ${cutoffs.condition} GROUP BY ALL`,
		{ experiment, ...cutoffs.parameters },
	);
	return exposed.map((row) => {
		const arm = String(row.arm);
		const values: Record<string, Moments> = {};
		const missing: Record<string, number> = {};
		for (const metric of metrics) {
			const found = moments.find((candidate) => candidate.arm === arm && candidate.metric === metric.name);
			const n = Number(found?.n ?? 0);
			if (n > 0) values[metric.name] = { n, mean: Number(found?.mean), m2: Math.max(0, Number(found?.m2)) };
			const without = Number(found?.missing ?? 0);
			if (without > 0 || (metric.source === "outcome" && metric.missing === "exclude")) missing[metric.name] = without;
		}
		return {
			arm,
			exposedUnits: Number(row.exposed),
			maturedUnits: Number(row.matured),
			metrics: values,
			missingUnits: missing,
		};
	});
}

/**
 * Which observations `o` of latency metrics count: those of units first exposed after the present threshold was
 * frozen. One made under a former threshold is of a unit first exposed before, and says nothing about this one.
 */
function thresholdCutoffs(metrics: readonly EvidenceMetric[]): {
	readonly condition: string;
	readonly parameters: Readonly<Record<string, string | bigint>>;
} {
	const conditions: string[] = [];
	const parameters: Record<string, string | bigint> = {};
	for (const [index, metric] of metrics.entries()) {
		const { name, source } = metric;
		const threshold = frozenThreshold(metric);
		if (source !== "latency") continue;
		parameters[`latency${index}`] = name;
		if (threshold === null) {
			conditions.push(`o.metric <> $latency${index}`);
			continue;
		}
		parameters[`frozen${index}`] = BigInt(threshold.frozenAtMs);
		conditions.push(
			`(o.metric <> $latency${index} OR o.unit IN (
				SELECT u.unit FROM units u WHERE u.experiment = $experiment AND u.first_ms > $frozen${index}))`,
		);
	}
	return { condition: conditions.length === 0 ? "TRUE" : conditions.join(" AND "), parameters };
}

async function exposureBatches(transaction: Transaction, experiment: string): Promise<readonly ExposureBatch[]> {
	const rows = await transaction.rows(
		`SELECT plan, arm, any_value(l.points) AS points, count(u.unit) AS units, min(u.first_ms) AS first_ms
		FROM live_points l LEFT JOIN (FROM units u WHERE u.experiment = $experiment AND ${unconflicted("u")}) u USING (plan, arm)
		WHERE l.experiment = $experiment GROUP BY plan, arm ORDER BY plan, arm`,
		{ experiment },
	);
	const batches = new Map<
		string,
		{ firstMs: number; counts: Record<string, number>; livePoints: Record<string, number> }
	>();
	for (const row of rows) {
		const plan = String(row.plan);
		const arm = String(row.arm);
		const batch = batches.get(plan) ?? { firstMs: Number.POSITIVE_INFINITY, counts: {}, livePoints: {} };
		batches.set(plan, batch);
		batch.counts[arm] = Number(row.units);
		batch.livePoints[arm] = Number(row.points);
		if (row.first_ms !== null) batch.firstMs = Math.min(batch.firstMs, Number(row.first_ms));
	}
	return [...batches]
		.map(([planVersion, batch]) => ({ planVersion, ...batch }))
		.filter((batch) => Number.isFinite(batch.firstMs))
		.sort((a, b) => a.firstMs - b.firstMs || (a.planVersion < b.planVersion ? -1 : 1));
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

/** An integer as an SQL literal. */
function integer(value: number): bigint {
	return BigInt(Math.trunc(value));
}
