/**
 * Rows needed to freeze a threshold or a cap, which outlive the retention time. They are counted separately for each
 * Experiment: its own Service's reference requests, or its Metric's outcomes and the start rows of their requests. So
 * other Experiments' traffic can neither displace nor extend them.
 */

import type { Judge } from "../../../decide/rollout/judges.js";
import type { MetricDeclaration } from "../receive/outcomes/metricDeclaration.js";
import { text } from "../store/sql.js";
import type { EventStore } from "../store/store.js";
import { whole } from "./eras.js";

/** As baselineQuantile.ts and unitQuantile.ts read them: the table, the column that identifies the Experiment, a condition. */
const SOURCES = {
	requests: { table: "entries", column: "service", which: "ended AND reference" },
	// Bounded by the number of outcomes: start rows without an outcome are not needed, and are far more.
	starts: {
		table: "entries",
		column: "experiment",
		which: "NOT ended AND entries.request IN (SELECT o.request FROM outcomes o WHERE o.request IS NOT NULL)",
	},
	outcomes: { table: "outcomes", column: "metric", which: "TRUE" },
} as const;

/** Sources limited to the newest `rowsMax` rows. */
const BOUNDED = ["requests", "outcomes"] as const;

type Source = keyof typeof SOURCES;

/** Rows of one Service, Experiment or Metric since a time. */
interface Stretch {
	readonly source: Source;
	readonly key: string;
	readonly sinceMs: number;
}

/**
 * Finds the rows to hold.
 * @param beforeMs newer rows are kept anyway
 * @param rowsMax limit for each source, newest first
 */
export async function freezingRows(
	store: EventStore,
	declared: readonly MetricDeclaration[],
	beforeMs: number,
	rowsMax: number,
): Promise<readonly Stretch[]> {
	const read = new Map<string, Stretch>();
	for (const metric of declared)
		for (const judge of metric.judges ?? [])
			for (const one of readBy(metric, judge)) {
				const sinceMs = Math.min(one.sinceMs, read.get(nameOf(one))?.sinceMs ?? beforeMs);
				if (sinceMs < beforeMs) read.set(nameOf(one), { ...one, sinceMs });
			}
	const stretches = [...read.values()];
	const few = await limitStarts(store, stretches, rowsMax);
	return stretches.map((one) => ({ ...one, sinceMs: Math.max(one.sinceMs, few.get(nameOf(one)) ?? one.sinceMs) }));
}

function readBy({ name, type }: MetricDeclaration, judge: Judge): readonly Stretch[] {
	const { experiment, service, freezingSinceMs: sinceMs } = judge;
	if (sinceMs === null) return [];
	if (type === "quantile") return [{ source: "requests", key: service, sinceMs }];
	return [
		{ source: "outcomes", key: name, sinceMs },
		{ source: "starts", key: experiment, sinceMs },
	];
}

const nameOf = ({ source, key }: Pick<Stretch, "source" | "key">): string => `${source} ${key}`;

/** Rows are counted in time steps: sorting them would delay all looks. */
const STEP_MS = 60_000;

/** By name: the time since which there are at most that many. Sources within the limit are left out. */
async function limitStarts(
	store: EventStore,
	stretches: readonly Stretch[],
	rowsMax: number,
): Promise<ReadonlyMap<string, number>> {
	const found = new Map<string, number>();
	for (const source of BOUNDED) {
		const keys = [...new Set(stretches.filter((one) => one.source === source).map(({ key }) => key))];
		if (keys.length === 0) continue;
		const { table, column, which } = SOURCES[source];
		const those = `FROM ${table} WHERE ${which} AND ${column} IN`;
		const rows = await store.analysis.transaction((transaction) =>
			transaction.rows(
				`SELECT ${column} AS key, received_ms // ${STEP_MS} AS step, count(*) AS n ${those}
					(SELECT ${column} ${those} (${keys.map(text).join(", ")}) GROUP BY ${column} HAVING count(*) > ${whole(rowsMax)})
				GROUP BY ALL ORDER BY step DESC`,
			),
		);
		const counts = new Map<string, number>();
		for (const { key, step, n } of rows) {
			const name = nameOf({ source, key: String(key) });
			const count = (counts.get(name) ?? 0) + Number(n);
			counts.set(name, count);
			if (count > rowsMax && !found.has(name)) found.set(name, (Number(step) + 1) * STEP_MS);
		}
	}
	return found;
}

/** Condition for rows of the table that one of them holds. */
export function isHeld(stretches: readonly Stretch[], table: string): string {
	const conditions = Object.entries(SOURCES).flatMap(([source, { table: of, column, which }]) => {
		const own = stretches.filter((one) => one.source === source && of === table);
		if (own.length === 0) return [];
		const since = own.map(({ key, sinceMs }) => `(${text(key)}, ${whole(sinceMs)})`).join(", ");
		return [
			`(${which} AND EXISTS (FROM (VALUES ${since}) h(key, since_ms) WHERE h.key = ${table}.${column} AND ${table}.received_ms >= h.since_ms))`,
		];
	});
	return conditions.length === 0 ? "FALSE" : conditions.join(" OR ");
}
