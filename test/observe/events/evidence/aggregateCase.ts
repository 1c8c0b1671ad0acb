/** Outcomes of some units, the SQL statements over them, and the results by plain arithmetic. */

import { packedIndex } from "../../../../src/infer/statistics/statistics/coMoments.js";
import { logCapitalOf } from "../../../../src/infer/statistics/statistics/logCapital.js";
import {
	capitalOfRows,
	dayOf,
	mergedMoments,
	momentsOfRows,
	unitSums,
	unitValues,
	VARIABLES_MAX,
	type Wanted,
} from "../../../../src/observe/events/evidence/aggregateSql.js";
import { coMomentsOf } from "../../../infer/statistics/formulas.js";

const DAY_MS = 86_400_000;
const WINDOW_MS = 3_600_000;
const T0 = 20_000 * DAY_MS;
const UNITS = 400;

const alike = { denominator: null, beforeMs: null, perUnit: "mean", missing: "exclude", cap: null } as const;

export const WANTED: readonly Wanted[] = [
	{ ...alike, series: 0, name: "score" },
	{ ...alike, series: 1, name: "spent", perUnit: "sum", missing: "zero", beforeMs: WINDOW_MS },
	{ ...alike, series: 2, name: "spent", perUnit: "sum", denominator: "score", beforeMs: WINDOW_MS },
	{ ...alike, series: 3, name: "spent", perUnit: "sum", cap: 90 },
	{ ...alike, series: 4, name: "score", beforeMs: WINDOW_MS },
	{ ...alike, series: 5, name: "it's", perUnit: "sum", denominator: "spent" },
];

/** Metrics of one variable and one name each, which are summed without a join. */
const PLAIN: readonly Wanted[] = [
	{ ...alike, series: 3, name: "spent", perUnit: "sum", cap: 90 },
	{ ...alike, series: 0, name: "score" },
];

/** Declared ranges: of the first, some values lie outside. */
export const RANGES = [
	{ series: 0, lo: 1_000, hi: 1_150 },
	{ series: 3, lo: -0.5, hi: 90 },
] as const;

interface Due {
	readonly ordinal: number;
	/** Up to 128 bits. */
	readonly unit: bigint;
	readonly arm: string;
	readonly first_ms: number;
	readonly due_ms: number;
}

interface Event {
	readonly metric: string;
	readonly unit: bigint;
	readonly experiment: string | null;
	readonly value: number;
	readonly event_ms: number;
	readonly received_ms: number;
}

export interface Case {
	readonly due: readonly Due[];
	readonly events: readonly Event[];
}

export function makeCase(): Case {
	let state = 7;
	const next = (): number => {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		return state / 2 ** 32;
	};
	const due = Array.from({ length: UNITS }, (_, ordinal): Due => {
		const first = T0 + Math.floor(next() * 3 * DAY_MS);
		const unit = (BigInt(Math.floor(next() * 2 ** 32)) << 90n) + BigInt(ordinal);
		return { ordinal, unit, arm: next() < 0.5 ? "control" : "it's", first_ms: first, due_ms: first + WINDOW_MS + 500 };
	});
	const events = due.flatMap(({ unit, first_ms }) =>
		Array.from({ length: Math.floor(next() * 9) }, (): Event => {
			const event = first_ms + Math.floor((next() * 2.6 - 1.3) * WINDOW_MS);
			return {
				metric: ["score", "spent", "it's"][Math.floor(next() * 3)] ?? "",
				unit,
				experiment: [null, null, "models", "another"][Math.floor(next() * 4)] ?? null,
				value: 1e3 + 200 * next(),
				event_ms: event,
				received_ms: event + Math.floor(next() * WINDOW_MS),
			};
		}),
	);
	return { due, events };
}

/** Statements by name; each answers rows in the order of its keys. */
export function statements(): Readonly<Record<string, string>> {
	const sumsOf = (wanted: readonly Wanted[]): string =>
		unitSums({ wanted, events: "events", due: "due", experiment: "models", windowMs: WINDOW_MS });
	const sums = sumsOf(WANTED);
	const observed = `WITH sums AS (${sums}), observed AS (${unitValues(WANTED, "sums")})`;
	const columns = Array.from({ length: VARIABLES_MAX }, (_, i) => `o.x${i} AS x${i}`).join(", ");
	const placed = `${observed}, placed AS (SELECT o.series AS series, ${columns}, d.arm AS arm, ${dayOf("d.first_ms")} AS place,
		CASE WHEN o.x1 IS NULL THEN 0 ELSE 1 END AS covered FROM observed o JOIN due d ON o.ordinal = d.ordinal)`;
	const parts = `${placed}, parts AS (SELECT 0 AS closed, m.* FROM (${momentsOfRows(VARIABLES_MAX, ["series", "arm", "place", "covered"], "placed")}) m)`;
	return {
		values: `${observed} SELECT * FROM observed ORDER BY series, ordinal`,
		plain: `WITH sums AS (${sumsOf(PLAIN)}), observed AS (${unitValues(PLAIN, "sums")}) SELECT * FROM observed ORDER BY series, ordinal`,
		moments: `${parts} SELECT * FROM parts ORDER BY series, arm, place, covered`,
		merged: `${parts} SELECT * FROM (${mergedMoments(VARIABLES_MAX, ["series", "arm", "covered"], "parts")}) m ORDER BY series, arm, covered`,
		capital: `${placed} SELECT * FROM (${capitalOfRows(RANGES, ["series", "arm", "place"], "placed")}) b ORDER BY series, arm, place`,
	};
}

type Answer = Readonly<Record<string, unknown>>;

/** What the statements must answer, by plain arithmetic. */
export function expected({ due, events }: Case): Readonly<Record<string, readonly Answer[]>> {
	const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
	const observed = WANTED.flatMap(({ series, name, denominator, beforeMs, perUnit, missing, cap }) =>
		due.flatMap(({ ordinal, unit, arm, first_ms, due_ms }) => {
			const sent = (metric: string, from: number, to: number): number[] =>
				events
					.filter((event) => event.unit === unit && event.metric === metric && event.experiment !== "another")
					.filter((event) => event.received_ms <= due_ms && event.event_ms >= from && event.event_ms <= to)
					.map(({ value }) => value);
			const inside = (metric: string): number[] => sent(metric, first_ms, first_ms + WINDOW_MS);
			const before = (metric: string): number[] =>
				beforeMs === null ? [] : sent(metric, first_ms - beforeMs, first_ms - 1);
			const one = (values: readonly number[]): number | null => {
				if (values.length === 0) return perUnit === "sum" ? 0 : null;
				const value = perUnit === "sum" ? total(values) : total(values) / values.length;
				return cap === null ? value : Math.min(cap, value);
			};
			const all = [...inside(name), ...(denominator === null ? [] : inside(denominator))];
			const ever = [...all, ...before(name), ...(denominator === null ? [] : before(denominator))];
			if ((missing === "exclude" ? all : ever).length === 0) return [];
			const values: (number | null)[] =
				denominator === null
					? [one(inside(name)) ?? 0, ...(beforeMs === null ? [] : [one(before(name))])]
					: [
							total(inside(name)),
							total(inside(denominator)),
							...(beforeMs === null ? [] : [total(before(name)), total(before(denominator))]),
						];
			const place = Math.floor(first_ms / DAY_MS);
			return [{ series, ordinal, arm, place, covered: (values[1] ?? null) === null ? 0 : 1, values }];
		}),
	);
	type Row = (typeof observed)[number];
	const grouped = (keys: readonly ("series" | "arm" | "place" | "covered")[]): readonly Answer[] => {
		const groups = new Map<string, Row[]>();
		for (const row of observed) {
			const key = JSON.stringify(keys.map((name) => row[name]));
			groups.set(key, [...(groups.get(key) ?? []), row]);
		}
		return [...groups.values()].map((rows) => {
			const width = rows[0]?.values.filter((value) => value !== null).length ?? 0;
			const co = coMomentsOf(
				width,
				rows.map(({ values }) => values.slice(0, width).map(Number)),
			);
			const answer: Record<string, unknown> = { closed: 0, n: co.n };
			for (const name of keys) answer[name] = rows[0]?.[name];
			for (let i = 0; i < VARIABLES_MAX; i++) {
				answer[`mean${i}`] = co.means[i] ?? null;
				const values = i < width ? rows.map((row) => Number(row.values[i])) : [];
				answer[`lo${i}`] = i < width ? Math.min(...values) : null;
				answer[`hi${i}`] = i < width ? Math.max(...values) : null;
				for (let j = 0; j <= i; j++) answer[`m${i}${j}`] = i < width ? (co.m2[packedIndex(i, j)] ?? null) : null;
			}
			return answer;
		});
	};
	const values = observed.map(({ series, ordinal, values }) => {
		const x = (i: number) => values[i] ?? null;
		return { series, ordinal, x0: x(0), x1: x(1), x2: x(2), x3: x(3) };
	});
	return {
		values,
		plain: values.filter((row) => PLAIN.some(({ series }) => series === row.series)),
		moments: grouped(["series", "arm", "place", "covered"]),
		merged: grouped(["series", "arm", "covered"]),
		capital: capital(observed),
	};
}

interface Observed {
	readonly series: number;
	readonly arm: string;
	readonly place: number;
	readonly values: readonly (number | null)[];
}

function capital(observed: readonly Observed[]): readonly Answer[] {
	const groups = new Map<string, number[]>();
	for (const { series, arm, place, values } of observed) {
		const range = RANGES.find((one) => one.series === series);
		if (range === undefined) continue;
		const key = JSON.stringify([series, arm, place]);
		groups.set(key, [...(groups.get(key) ?? []), (Number(values[0]) - range.lo) / (range.hi - range.lo)]);
	}
	return [...groups].map(([key, shares]) => {
		const [series, arm, place] = JSON.parse(key) as [number, string, number];
		const inside = shares.filter((share) => share >= 0 && share <= 1);
		const { up, down } = logCapitalOf(inside);
		const sums = (name: string, values: readonly number[]) => values.map((sum, i) => [`${name}${i}`, sum] as const);
		return {
			series,
			arm,
			place,
			n: inside.length,
			outside: shares.length - inside.length,
			...Object.fromEntries([...sums("up", up), ...sums("down", down)]),
		};
	});
}

const KEYS = ["series", "arm", "place", "covered", "ordinal"] as const;

/** What an engine got wrong, to 1e-12 of the size of what was added up; a row is known by its keys. */
export function differences(found: readonly Answer[], wanted: readonly Answer[]): readonly string[] {
	const keyOf = (row: Answer): string =>
		JSON.stringify(
			KEYS.flatMap((key) =>
				row[key] === undefined
					? []
					: [key, typeof row[key] === "string" && !/^\d+$/.test(row[key]) ? row[key] : Number(row[key])],
			),
		);
	const byKey = new Map(found.map((row) => [keyOf(row), row]));
	const wrong = found.length === wanted.length ? [] : [`${found.length} rows, not ${wanted.length}`];
	for (const row of wanted) {
		const other = byKey.get(keyOf(row));
		if (other === undefined) {
			wrong.push(`${keyOf(row)} is missing`);
			continue;
		}
		for (const [column, value] of Object.entries(row)) {
			if (typeof value === "string") continue;
			const given = other[column];
			// Squares are of the size of values² (1e7) times the units.
			const size = /^m\d\d$/.test(column)
				? 1e7 * Number(row.n)
				: /^(mean|x)/.test(column)
					? 1e3
					: /^(up|down)/.test(column)
						? Number(row.n)
						: 0;
			const good =
				value === null
					? given === null || given === undefined
					: Math.abs(Number(given) - Number(value)) <= 1e-12 * Math.max(size, Math.abs(Number(value)));
			if (!good || (value !== null && given === null))
				wrong.push(`${keyOf(row)} ${column}: ${String(given)}, not ${String(value)}`);
		}
	}
	return wrong;
}
