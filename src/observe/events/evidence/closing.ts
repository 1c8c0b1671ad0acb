/**
 * Closing: a unit's observation is made once, when its window and the settling time are over (eras.ts), and never
 * changes. Only data received by its due time counts, so a late closing (a restart, a slow query) cannot add late rows
 * to one arm. Metrics due at the same time are closed together, in bounded memory.
 */
import type { EvidenceMetric, SlowThreshold } from "../../../infer/statistics/evidence.js";
import { IN_PROGRESS_MS } from "../../../limits/index.js";
import { text } from "../store/sql.js";
import type { Transaction } from "../store/store.js";
import { alike, columns, double, isPlain, unitSums, unitValues, type Wanted } from "./aggregateSql.js";
import { type Defined, dueMs, newlyDue, whole } from "./eras.js";

/** Units that are closed at once: with ten metrics they take 100 MiB of memory. */
const CLOSING_UNITS = 131_072;

/**
 * Excludes units seen in two arms or forced into one. `alias` has experiment and unit, which are never null. With NOT IN
 * the engine reads the few conflicts first; with NOT EXISTS it would group all units.
 */
export const unconflicted = (alias: string): string =>
	`(${alias}.experiment, ${alias}.unit) NOT IN (SELECT (k.experiment, k.unit) FROM conflicts k)`;

/** Condition for requests in the window of unit d. */
const inWindow = (windowMs: number): string =>
	`e.start_us BETWEEN d.first_ms * 1000 AND (d.first_ms + ${whole(windowMs)}) * 1000 + 999`;

/** A metric that is closed now. */
export interface Closing extends Defined {
	/** null = a maturity. */
	readonly of: EvidenceMetric | null;
}

interface Scope {
	readonly experiment: string;
	readonly service: string;
	readonly nowMs: number;
}

/**
 * Closes what is due and not closed yet. `closed` is called for each batch of units, with the closings of the same due
 * time, the units in the view `due` (ordinal, unit, arm, first_ms, due_ms) and their observations stored.
 */
export async function closeDue(
	transaction: Transaction,
	scope: Scope,
	closings: readonly Closing[],
	closed: (together: readonly Closing[]) => Promise<void>,
): Promise<void> {
	const together = new Map<string, Closing[]>();
	for (const closing of closings) {
		const condition = newlyDue(closing, scope.nowMs);
		together.set(condition, [...(together.get(condition) ?? []), closing]);
	}
	for (const [condition, group] of together) {
		const [first] = group;
		if (first === undefined) continue;
		await transaction.run(
			`CREATE OR REPLACE TEMP TABLE all_due AS
			SELECT u.ordinal, u.unit, u.arm, u.first_ms, ${dueMs(first.times)} AS due_ms FROM units u
			WHERE u.experiment = $experiment AND ${condition} AND ${unconflicted("u")}`,
			{ experiment: scope.experiment },
		);
		for (const lot of await lots(transaction)) {
			await transaction.run(`CREATE OR REPLACE TEMP VIEW due AS FROM all_due WHERE ${lot}`);
			await observe(transaction, scope, group);
			await closed(group);
		}
	}
}

/** Conditions that split `all_due` by first exposure into batches of about CLOSING_UNITS; none if nothing is due. */
async function lots(transaction: Transaction): Promise<readonly string[]> {
	const [found] = await transaction.rows("SELECT count(*) AS units FROM all_due");
	const units = Number(found?.units ?? 0);
	if (units === 0) return [];
	const count = Math.ceil(units / CLOSING_UNITS);
	if (count === 1) return ["TRUE"];
	const shares = Array.from({ length: count - 1 }, (_, index) => (index + 1) / count);
	const [row] = await transaction.rows(
		`SELECT quantile_disc(first_ms, [${shares.join(", ")}])::VARCHAR AS edges FROM all_due`,
	);
	const edges = [...new Set(JSON.parse(String(row?.edges)) as number[])];
	return [null, ...edges].map((from, index) => {
		const to = edges[index];
		const conditions = [
			...(from === null ? [] : [`first_ms >= ${from}`]),
			...(to === undefined ? [] : [`first_ms < ${to}`]),
		];
		return conditions.join(" AND ");
	});
}

/** Makes the observations of the units in `due`. */
async function observe(transaction: Transaction, scope: Scope, group: readonly Closing[]): Promise<void> {
	const [span] = await transaction.rows("SELECT min(first_ms) AS from_ms, max(first_ms) AS to_ms FROM due");
	const beforeMs = Math.max(0, ...group.map((closing) => closing.beforeMs));
	const windowMs = group[0]?.times[0]?.[0] ?? 0;
	const lot: Lot = {
		...scope,
		windowMs,
		fromMs: Number(span?.from_ms) - beforeMs,
		toMs: Number(span?.to_ms) + windowMs,
	};
	const measured = group.filter(({ of }) => of !== null && (of.source !== "outcome" || of.denominator === "requests"));
	if (measured.length > 0) await readRequests(transaction, lot, beforeMs);
	for (const { series, of } of measured) {
		if (of !== null && of.source !== "outcome") await observeRequests(transaction, series, of);
	}
	const outcomes = group.filter(({ of }) => of?.source === "outcome");
	if (outcomes.length > 0) await observeOutcomes(transaction, lot, outcomes);
}

export interface Lot extends Scope {
	readonly windowMs: number;
	/** Time range of events of all units of the batch. */
	readonly fromMs: number;
	readonly toMs: number;
}

/**
 * Fills `requests` of the due units: one row each, with ok and duration if the end is known. Without an end by the due
 * time it failed, with the duration until then as the minimum. `inside`: in the window, else before the first exposure. A
 * request in the window counts only if its start was received (requestStarts.ts).
 */
async function readRequests(transaction: Transaction, lot: Lot, beforeMs: number): Promise<void> {
	const { experiment, service, windowMs, fromMs, toMs } = lot;
	const inside = "e.start_us >= d.first_ms * 1000";
	const exposed = `e.experiment = $experiment AND e.arm IS NOT NULL AND ${inWindow(windowMs)}`;
	// A request in the Experiment before its unit's first exposure has no received start.
	const others = "(e.arm IS NULL OR e.experiment <> $experiment)";
	const earlier = `e.service = $service AND ${others} AND NOT (${inside}) AND e.start_us >= (d.first_ms - ${whole(beforeMs)}) * 1000`;
	await transaction.run(
		`CREATE OR REPLACE TEMP TABLE requests AS
		SELECT d.ordinal, any_value(d.arm) AS arm, ${inside} AS inside,
			coalesce(bool_or(e.ended AND NOT e.failed), FALSE) AS ok,
			coalesce(min(e.duration_ms) FILTER (e.ended), greatest(0, any_value(d.due_ms) - e.start_us / 1000.0)) AS duration_ms,
			bool_or(e.ended) AS ended, ${await reported(transaction, "min(e.received_ms)")} AS reported,
			any_value(d.first_ms) - e.start_us / 1000.0 AS ahead_ms
		FROM entries e JOIN due d ON e.unit = d.unit
		WHERE e.start_us >= ${whole(fromMs)} * 1000 AND e.start_us <= ${whole(toMs)} * 1000 + 999 AND e.received_ms <= d.due_ms
			AND (${beforeMs === 0 ? exposed : `(${exposed}) OR (${earlier})`})
		GROUP BY d.ordinal, inside, e.request, e.start_us HAVING NOT inside OR bool_or(NOT e.ended)`,
		beforeMs === 0 ? { experiment } : { experiment, service },
	);
}

/**
 * Whether a request's first entry did not come in the last minute before an opening of the store. In that minute slow
 * requests lose their end more often, which biases arms, so all its requests are excluded.
 */
async function reported(transaction: Transaction, heardMs: string): Promise<string> {
	const openings = await transaction.rows("SELECT last_ms FROM openings ORDER BY last_ms");
	const minutes: [number, number][] = [];
	for (const toMs of openings.map(({ last_ms }) => Number(last_ms))) {
		const last = minutes.at(-1);
		if (last !== undefined && last[1] > toMs - IN_PROGRESS_MS) last[1] = toMs;
		else minutes.push([toMs - IN_PROGRESS_MS, toMs]);
	}
	return ["TRUE", ...minutes.map(([from, to]) => `${heardMs} NOT BETWEEN ${from + 1} AND ${to}`)].join(" AND ");
}

/** The share of a unit's requests that failed or were slower than each threshold, or their mean duration. */
async function observeRequests(
	transaction: Transaction,
	series: number,
	{ source, threshold }: EvidenceMetric,
): Promise<void> {
	const share = (good: string): string => `avg(CASE WHEN ${good} THEN 0.0::DOUBLE ELSE 1.0::DOUBLE END)`;
	const values =
		source === "errors"
			? [share("ok")]
			: threshold === null || threshold === "unfrozen"
				? ["favg(duration_ms)"]
				: slowFrom(threshold).map((ms) => share(`ended AND duration_ms <= ${ms}`));
	const [table, variables] = values.length === 1 ? ["observations", values[0]] : ["co_observations", columns(values)];
	await transaction.run(
		`INSERT INTO ${table} SELECT ${series}, ordinal, ${variables} FROM requests WHERE inside AND reported GROUP BY ordinal`,
	);
}

/** Each threshold of the arm that a row of `requests` belongs to. */
function slowFrom({ thresholdMs, baseline, further = [] }: SlowThreshold): readonly string[] {
	return [{ thresholdMs, baselineMs: baseline.thresholdMs }, ...further].map((one) => {
		if (one.thresholdMs === one.baselineMs) return double(one.thresholdMs);
		return `CASE WHEN arm = ${text(baseline.arm)} THEN ${double(one.baselineMs)} ELSE ${double(one.thresholdMs)} END`;
	});
}

/** The mean or sum of a unit's outcomes, by unit or by the id of one of its requests. */
async function observeOutcomes(transaction: Transaction, lot: Lot, group: readonly Closing[]): Promise<void> {
	const wanted = group.flatMap(({ series, of }): Wanted[] => (of === null ? [] : [wantedOf(series, of)]));
	const sums = await outcomeSums(transaction, lot, wanted);
	const perRequest = new Set(group.flatMap(({ series, of }) => (of?.denominator === "requests" ? [series] : [])));
	// A single read needs no temporary table.
	if (perRequest.size === 0 && alike(wanted)) {
		await enterValues(transaction, wanted, `(${sums})`);
		return;
	}
	await transaction.run(`CREATE OR REPLACE TEMP TABLE sums AS ${sums}`);
	const others = wanted.filter(({ series }) => !perRequest.has(series));
	for (const some of [others.filter(isPlain), others.filter((one) => !isPlain(one))]) {
		const those = some.map(({ series }) => series).join(", ");
		if (some.length > 0) await enterValues(transaction, some, `(FROM sums WHERE series IN (${those}))`);
	}
	for (const one of wanted) {
		if (!perRequest.has(one.series)) continue;
		const inside = `count(*) FILTER (r.inside)::DOUBLE`;
		const earlier = `count(*) FILTER (NOT r.inside AND r.ahead_ms <= ${whole(one.beforeMs ?? 0)})::DOUBLE`;
		const sum = (name: string): string => `coalesce(any_value(f.${name}), 0)`;
		const variables = [sum("s"), inside, ...(one.beforeMs === null ? [] : [sum("bs"), earlier])];
		await transaction.run(
			`INSERT INTO co_observations SELECT ${one.series}, r.ordinal, ${columns(variables)} FROM requests r
			LEFT JOIN sums f ON f.series = ${one.series} AND f.ordinal = r.ordinal GROUP BY r.ordinal
			${one.missing === "zero" ? "" : "HAVING any_value(f.n) > 0"}`,
		);
	}
}

/** @param wanted all plain, or none @param sums of these and no others */
function enterValues(transaction: Transaction, wanted: readonly Wanted[], sums: string): Promise<void> {
	const values = unitValues(wanted, sums);
	return wanted.every(isPlain)
		? transaction.run(`INSERT INTO observations SELECT series, ordinal, x0 FROM (${values})`)
		: transaction.run(`INSERT INTO co_observations ${values}`);
}

/** The statement of unitSums() over the outcomes of the units in `due`. */
export async function outcomeSums(transaction: Transaction, lot: Lot, wanted: readonly Wanted[]): Promise<string> {
	const { experiment, windowMs, fromMs, toMs } = lot;
	const between = `o.event_ms >= ${whole(fromMs)} AND o.event_ms <= ${whole(toMs)}`;
	const names = [
		...new Set(wanted.flatMap(({ name, denominator }) => [name, ...(denominator === null ? [] : [denominator])])),
	];
	const those = `${between} AND o.metric IN (${names.map(text).join(", ")})`;
	const [byRequest] = await transaction.rows(
		`SELECT 1 AS found FROM outcomes o WHERE ${those} AND o.request IS NOT NULL LIMIT 1`,
	);
	// An outcome by request id belongs to the unit of a request that exposed it, which has a start row.
	await transaction.run(
		`CREATE OR REPLACE TEMP VIEW due_outcomes AS
		SELECT o.metric, o.unit, o.experiment, o.value, o.event_ms, o.received_ms FROM outcomes o WHERE ${between}
		${
			byRequest === undefined
				? ""
				: `UNION ALL SELECT o.metric, r.unit, o.experiment, o.value, o.event_ms, o.received_ms FROM outcomes o
		JOIN (SELECT DISTINCT e.unit, e.request FROM entries e JOIN due d ON e.unit = d.unit
			WHERE e.experiment = ${text(experiment)} AND e.arm IS NOT NULL AND NOT e.ended
				AND e.start_us >= ${whole(fromMs)} * 1000) r ON o.request = r.request
		WHERE ${those}`
		}`,
	);
	return unitSums({ wanted, events: "due_outcomes", due: "due", experiment, windowMs });
}

export function wantedOf(series: number, metric: EvidenceMetric): Wanted {
	const { name, denominator, covariateMs, perUnit, missing, cap } = metric;
	return {
		series,
		name,
		denominator: denominator === null || denominator === "requests" ? null : denominator.metric,
		beforeMs: covariateMs,
		perUnit,
		missing,
		cap: cap === null || cap === "unfrozen" ? null : cap.value,
	};
}
