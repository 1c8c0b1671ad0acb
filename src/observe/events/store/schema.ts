/**
 * The tables of the event store. Times are epoch milliseconds (start times microseconds, to distinguish two requests with
 * one request id); units and requests are 128-bit pseudonyms. Observed rows are appended and later removed, never updated;
 * aggregates are replaced as they grow.
 */
import { BETS } from "../../../infer/statistics/statistics/logCapital.js";

/** Incremented with every change of the tables; a store of another version is refused. */
export const SCHEMA_VERSION = 1;

const SUMS = ["up", "down"].flatMap((side) => BETS.map((_, i) => `${side}${i} DOUBLE NOT NULL`)).join(", ");

export const SCHEMA = `
CREATE TABLE IF NOT EXISTS meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);

-- One row per access-log entry of an exposing request (start) and of any ended one (end).
-- experiment, unit and arm are null for requests outside them; reference: default Variant, outside every challenger arm.
-- assigned: arm of an ended request's unit, exposed or not, '' for none; null: outside.
CREATE TABLE IF NOT EXISTS entries (
	ended BOOLEAN NOT NULL, request UHUGEINT NOT NULL, start_us BIGINT NOT NULL, received_ms BIGINT NOT NULL,
	service VARCHAR NOT NULL, variant VARCHAR, experiment VARCHAR, unit UHUGEINT, arm VARCHAR,
	reference BOOLEAN NOT NULL, duration_ms DOUBLE, status USMALLINT, failed BOOLEAN, unhealthy BOOLEAN, assigned VARCHAR
);

-- First exposure of each unit, as first received; never changed. The ordinal grows in commit order, so an upper bound
-- identifies the units of one moment. core: on a point that stays live under any bandit decision.
CREATE SEQUENCE IF NOT EXISTS unit_ordinals MINVALUE 0 START 0;
CREATE TABLE IF NOT EXISTS units (
	experiment VARCHAR NOT NULL, unit UHUGEINT NOT NULL, arm VARCHAR NOT NULL, plan VARCHAR NOT NULL,
	first_ms BIGINT NOT NULL, received_ms BIGINT NOT NULL, core BOOLEAN NOT NULL, ordinal BIGINT NOT NULL
);

-- Segment values from first exposing requests, ranked by appearance; values beyond SEGMENT_VALUES_MAX have no rank.
CREATE TABLE IF NOT EXISTS segment_values (
	experiment VARCHAR NOT NULL, segment VARCHAR NOT NULL, value VARCHAR NOT NULL, rank UTINYINT NOT NULL
);
CREATE TABLE IF NOT EXISTS unit_segments (ordinal BIGINT NOT NULL, segment VARCHAR NOT NULL, rank UTINYINT NOT NULL);

-- Excluded units: seen in two arms, or (forced) in an arm other than the plan's.
CREATE SEQUENCE IF NOT EXISTS conflict_ordinals MINVALUE 0 START 0;
CREATE TABLE IF NOT EXISTS conflicts (
	experiment VARCHAR NOT NULL, unit UHUGEINT NOT NULL, at_ms BIGINT NOT NULL, forced BOOLEAN NOT NULL, ordinal BIGINT NOT NULL
);

-- Live points of each plan under which a unit was first exposed.
CREATE TABLE IF NOT EXISTS live_points (
	plan VARCHAR NOT NULL, experiment VARCHAR NOT NULL, arm VARCHAR NOT NULL, points INTEGER NOT NULL
);

-- By unit or by request id, one of them null. experiment null: for every experiment the unit is in.
CREATE TABLE IF NOT EXISTS outcomes (
	metric VARCHAR NOT NULL, unit UHUGEINT, request UHUGEINT, experiment VARCHAR, value DOUBLE NOT NULL,
	event_ms BIGINT NOT NULL, received_ms BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS idempotency (
	key UHUGEINT PRIMARY KEY, body VARCHAR NOT NULL, status USMALLINT NOT NULL, answer VARCHAR NOT NULL, at_ms BIGINT NOT NULL
);

-- One definition of a metric in an experiment; another definition is another series.
CREATE SEQUENCE IF NOT EXISTS series_numbers MINVALUE 0 START 0;
CREATE TABLE IF NOT EXISTS series (
	number INTEGER NOT NULL, experiment VARCHAR NOT NULL, metric VARCHAR NOT NULL, definition VARCHAR NOT NULL
);

-- A unit's observation, written once when it is closed; for the variables see aggregateSql.ts. A closed unit without a
-- row had no data. Series of one variable have their own table, because three null columns would dominate write cost.
CREATE TABLE IF NOT EXISTS observations (series INTEGER NOT NULL, ordinal BIGINT NOT NULL, x0 DOUBLE NOT NULL);
CREATE TABLE IF NOT EXISTS co_observations (
	series INTEGER NOT NULL, ordinal BIGINT NOT NULL, x0 DOUBLE NOT NULL, x1 DOUBLE, x2 DOUBLE, x3 DOUBLE
);
CREATE VIEW IF NOT EXISTS all_observations AS SELECT series, ordinal, x0, NULL::DOUBLE AS x1, NULL::DOUBLE AS x2, NULL::DOUBLE AS x3
	FROM observations UNION ALL SELECT series, ordinal, x0, x1, x2, x3 FROM co_observations;

-- Closed units per experiment and metric: those of all eras; a unit belongs to the first era that fits. An era holds
-- the units up to its ordinal, first exposed after after_ms, with an observation due before as_of_ms.
-- source null: units mature in all metrics. core_from_ms: when a bandit moved its shares; later observations
-- of units outside the core are never closed. null: no such time.
CREATE TABLE IF NOT EXISTS eras (
	experiment VARCHAR NOT NULL, metric VARCHAR NOT NULL, era INTEGER NOT NULL, series INTEGER NOT NULL, source VARCHAR,
	times VARCHAR NOT NULL, before_ms BIGINT NOT NULL, after_ms BIGINT NOT NULL, as_of_ms BIGINT NOT NULL, ordinal BIGINT NOT NULL,
	core_from_ms BIGINT
);

-- Moments and extremes of the observations of closed units by series, arm and part: '' with the day of first exposure, or a segment
-- with the rank of its value. closed: units closed, whether or not they have a row; covered: with a covariate.
CREATE TABLE IF NOT EXISTS aggregates (
	experiment VARCHAR NOT NULL, series INTEGER NOT NULL, arm VARCHAR NOT NULL, part VARCHAR NOT NULL, place BIGINT NOT NULL,
	covered BOOLEAN NOT NULL, closed BIGINT NOT NULL, n BIGINT NOT NULL, mean0 DOUBLE, mean1 DOUBLE, mean2 DOUBLE,
	mean3 DOUBLE, m00 DOUBLE, m10 DOUBLE, m11 DOUBLE, m20 DOUBLE, m21 DOUBLE, m22 DOUBLE, m30 DOUBLE, m31 DOUBLE,
	m32 DOUBLE, m33 DOUBLE, lo0 DOUBLE, hi0 DOUBLE, lo1 DOUBLE, hi1 DOUBLE, lo2 DOUBLE, hi2 DOUBLE, lo3 DOUBLE, hi3 DOUBLE
);
-- Log-capital of the same observations, for series with a range (capital.ts): part is '' and place the day.
CREATE TABLE IF NOT EXISTS capitals (
	experiment VARCHAR NOT NULL, series INTEGER NOT NULL, arm VARCHAR NOT NULL, part VARCHAR NOT NULL, place BIGINT NOT NULL,
	n BIGINT NOT NULL, outside BIGINT NOT NULL, ${SUMS}
);
CREATE TABLE IF NOT EXISTS capital_ranges (
	experiment VARCHAR NOT NULL, series INTEGER NOT NULL, lo DOUBLE NOT NULL, hi DOUBLE NOT NULL, bets VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS exposures (
	experiment VARCHAR NOT NULL, plan VARCHAR NOT NULL, arm VARCHAR NOT NULL, day BIGINT NOT NULL, units BIGINT NOT NULL,
	first_ms BIGINT NOT NULL, received_ms BIGINT NOT NULL
);

-- Progress of an experiment's aggregates, and the segments that are parts of them (JSON).
CREATE TABLE IF NOT EXISTS refreshes (
	experiment VARCHAR NOT NULL, unit_ordinal BIGINT NOT NULL, conflict_ordinal BIGINT NOT NULL, segments VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS newest_outcomes (metric VARCHAR NOT NULL, event_ms BIGINT NOT NULL, as_of_ms BIGINT NOT NULL);

-- Lost entries, with time and reason.
CREATE TABLE IF NOT EXISTS losses (at_ms BIGINT NOT NULL, reason VARCHAR NOT NULL, entries BIGINT NOT NULL);
-- When the last entry arrived before the store was opened again, and times around which Envoy dropped entries.
CREATE TABLE IF NOT EXISTS openings (last_ms BIGINT NOT NULL PRIMARY KEY);

-- The access record log; see accessRecord.ts. id grows with the time of arrival and is unique.
CREATE TABLE IF NOT EXISTS decisions (
	id BIGINT NOT NULL, kind VARCHAR NOT NULL, at_ms BIGINT NOT NULL, received_ms BIGINT NOT NULL, request VARCHAR,
	trace VARCHAR, gateway VARCHAR, service VARCHAR, method VARCHAR, path VARCHAR, principal VARCHAR, unit UHUGEINT,
	experiment VARCHAR, arm VARCHAR, former_arm VARCHAR, variant VARCHAR, verdict VARCHAR, reason VARCHAR NOT NULL,
	policy VARCHAR, decided_by VARCHAR NOT NULL, plan VARCHAR, status USMALLINT, latency_ms DOUBLE, count BIGINT NOT NULL,
	via VARCHAR
);

-- Counts of requests whose verdict shadow policies would change, summed by queries. rules: the Service's rules that
-- applied (planReader.ts), reason: why they would be refused (shadow.ts); null: unknown.
CREATE TABLE IF NOT EXISTS shadows (
	received_ms BIGINT NOT NULL, change VARCHAR NOT NULL, policy VARCHAR, service VARCHAR, principal VARCHAR,
	method VARCHAR, path VARCHAR, count BIGINT NOT NULL, rules VARCHAR, reason VARCHAR
);

-- Rows of these two tables (kind) dropped by the row limit; see rowLimit.ts.
CREATE TABLE IF NOT EXISTS room_drops (
	kind VARCHAR PRIMARY KEY, records BIGINT NOT NULL, whole_since_ms BIGINT NOT NULL
);
`;

export const TABLES = [
	"entries",
	"units",
	"conflicts",
	"outcomes",
	"observations",
	"co_observations",
	"idempotency",
	"decisions",
] as const;
