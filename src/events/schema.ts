/**
 * The tables of the event store. Times are epoch milliseconds (start times microseconds, which tell apart two
 * requests that carry one request id); units and requests are 128-bit pseudonyms. Nothing is updated in place:
 * rows are appended, and removed when their time is over.
 */

/** Grows by one with every change of the tables; a store of a newer one is refused. */
export const SCHEMA_VERSION = 2;

export const SCHEMA = `
CREATE TABLE IF NOT EXISTS meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);

-- One row per access-log entry of an exposing request (start) and of any ended one (end).
-- experiment, unit and arm are null for requests outside them; reference: default Variant, outside every challenger arm.
CREATE TABLE IF NOT EXISTS entries (
	ended BOOLEAN NOT NULL, request UHUGEINT NOT NULL, start_us BIGINT NOT NULL, received_ms BIGINT NOT NULL,
	service VARCHAR NOT NULL, variant VARCHAR, experiment VARCHAR, unit UHUGEINT, arm VARCHAR,
	reference BOOLEAN NOT NULL, duration_ms DOUBLE, status USMALLINT, failed BOOLEAN, unhealthy BOOLEAN
);

-- First exposure of each unit, as first learnt; never changed.
CREATE TABLE IF NOT EXISTS units (
	experiment VARCHAR NOT NULL, unit UHUGEINT NOT NULL, arm VARCHAR NOT NULL, plan VARCHAR NOT NULL,
	first_ms BIGINT NOT NULL, received_ms BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS conflicts (experiment VARCHAR NOT NULL, unit UHUGEINT NOT NULL, at_ms BIGINT NOT NULL);

-- Live points of each plan under which a unit was first exposed, kept with the counts they explain.
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

-- One value per unit, metric and experiment, entered once at due_ms; null: closed without any data (missing).
CREATE TABLE IF NOT EXISTS observations (
	experiment VARCHAR NOT NULL, metric VARCHAR NOT NULL, unit UHUGEINT NOT NULL, arm VARCHAR NOT NULL,
	value DOUBLE, due_ms BIGINT NOT NULL
);

-- How far closing has come, per experiment and metric, and with which times.
CREATE TABLE IF NOT EXISTS closings (
	experiment VARCHAR NOT NULL, metric VARCHAR NOT NULL, source VARCHAR NOT NULL, window_ms BIGINT NOT NULL,
	settle_ms BIGINT NOT NULL, as_of_ms BIGINT NOT NULL, PRIMARY KEY (experiment, metric)
);

-- Entries that could not be kept, when and why.
CREATE TABLE IF NOT EXISTS losses (at_ms BIGINT NOT NULL, reason VARCHAR NOT NULL, entries BIGINT NOT NULL);

-- The decision log; see decisionRecord.ts. id grows with the time of arrival and is unique.
CREATE TABLE IF NOT EXISTS decisions (
	id BIGINT NOT NULL, kind VARCHAR NOT NULL, at_ms BIGINT NOT NULL, received_ms BIGINT NOT NULL, request VARCHAR,
	trace VARCHAR, gateway VARCHAR, service VARCHAR, method VARCHAR, path VARCHAR, principal VARCHAR, unit UHUGEINT,
	experiment VARCHAR, arm VARCHAR, former_arm VARCHAR, variant VARCHAR, verdict VARCHAR, reason VARCHAR NOT NULL,
	policy VARCHAR, decided_by VARCHAR NOT NULL, plan VARCHAR, status USMALLINT, latency_ms DOUBLE, count BIGINT NOT NULL
);

-- Requests whose verdict shadow policies would change, counted; summed up when asked for.
CREATE TABLE IF NOT EXISTS shadows (
	received_ms BIGINT NOT NULL, change VARCHAR NOT NULL, policy VARCHAR, service VARCHAR, principal VARCHAR,
	method VARCHAR, path VARCHAR, count BIGINT NOT NULL
);
`;

export const TABLES = [
	"entries",
	"units",
	"conflicts",
	"outcomes",
	"observations",
	"idempotency",
	"decisions",
] as const;
