/**
 * Validates one outcome row. Each row is accepted or refused separately. A refusal has a reason and a hint that never
 * repeat a value, because a value may be a user id.
 */
import { epochMs } from "../../../../compile/access/requests/rfc3339.js";
import { parseUnit } from "../../../../compile/assignment/unit.js";
import { OUTCOME_VALUE_MAX, REQUEST_ID_CHARS_MAX } from "../../../../limits/index.js";
import type { Pseudonyms } from "../../store/pseudonym.js";
import type { MetricDeclaration } from "./metricDeclaration.js";
import { maySend, type Sender } from "./sender.js";

/** How far in the future an outcome's time may be: clock skew between hosts. */
const OUTCOME_CLOCK_SKEW_MS = 5_000;

/** One row of `outcomes`; exactly one of unit and request is set. */
export interface OutcomeRow {
	readonly metric: string;
	readonly unit: bigint | null;
	readonly request: bigint | null;
	readonly experiment: string | null;
	readonly value: number;
	readonly eventMs: number;
	readonly receivedMs: number;
}

/** Closed set; clients may branch on it. */
export type RefusalCode =
	| "not-an-object"
	| "not-json"
	| "unknown-field"
	| "unknown-metric"
	| "sender-not-granted"
	| "not-an-outcome-metric"
	| "value-not-finite"
	| "value-too-large"
	| "value-out-of-range"
	| "time-invalid"
	| "time-in-future"
	| "unit-invalid"
	| "request-id-invalid"
	| "unit-and-request-id"
	| "neither-unit-nor-request-id"
	| "experiment-invalid"
	| "cloud-event-invalid";

export interface Refusal {
	readonly code: RefusalCode;
	readonly message: string;
	readonly hint: string;
}

export interface OutcomeContext {
	readonly metrics: ReadonlyMap<string, MetricDeclaration>;
	readonly pseudonyms: Pseudonyms;
	readonly receivedMs: number;
	readonly sender: Sender;
}

const FIELDS = new Set(["metric", "value", "unit", "requestId", "time", "experiment"]);

export const refusal = (code: RefusalCode, message: string, hint: string): Refusal => ({ code, message, hint });

/** @param fallbackTime time of the enclosing CloudEvent, for a row without a time */
export function readOutcome(candidate: unknown, fallbackTime: unknown, context: OutcomeContext): OutcomeRow | Refusal {
	if (typeof candidate !== "object" || candidate === null || Array.isArray(candidate)) {
		return refusal("not-an-object", "an outcome is a JSON object", 'write {"metric": …, "value": …, "unit": …}');
	}
	// Not copied: it may have a million keys. None of the keys read below exists on Object.prototype.
	const row = candidate as Readonly<Record<string, unknown>>;
	// Checked first, so that an unauthorised sender always gets this refusal.
	if (!mayPost(row.metric, context)) return NOT_GRANTED;
	// The field's name is not repeated either: it may hold any client text.
	if (Object.keys(row).some((field) => !FIELDS.has(field))) {
		return refusal("unknown-field", "the row has an unknown field", `known are ${[...FIELDS].join(", ")}`);
	}
	const metric = readMetric(row.metric, context);
	if ("code" in metric) return metric;
	const value = readValue(row.value, metric);
	if (typeof value !== "number") return value;
	const eventMs = readTime(row.time ?? fallbackTime, context.receivedMs);
	if (typeof eventMs !== "number") return eventMs;
	const experiment = row.experiment ?? null;
	if (experiment !== null && (typeof experiment !== "string" || !/^[A-Za-z0-9._/-]{1,253}$/.test(experiment))) {
		return refusal("experiment-invalid", "experiment is not an experiment's name", "write its name, or leave it out");
	}
	const subject = readSubject(row, context.pseudonyms);
	if ("code" in subject) return subject;
	return { metric: metric.name, ...subject, experiment, value, eventMs, receivedMs: context.receivedMs };
}

/** Refuses the whole request: see outcomes.ts. */
const NOT_GRANTED = refusal(
	"sender-not-granted",
	"the sender may not post this metric",
	"name its SPIFFE id in spec.senders of the Metric",
);

export function isRefusal(result: OutcomeRow | Refusal): result is Refusal {
	return "code" in result;
}

const declared = (name: unknown, { metrics }: OutcomeContext): MetricDeclaration | undefined =>
	typeof name === "string" ? metrics.get(name) : undefined;

/** A sender without permission must not learn whether the metric exists. */
function mayPost(name: unknown, context: OutcomeContext): boolean {
	return maySend(context.sender, declared(name, context) ?? {});
}

function readMetric(name: unknown, context: OutcomeContext): MetricDeclaration | Refusal {
	const metric = declared(name, context);
	if (metric === undefined) {
		return refusal(
			"unknown-metric",
			"no such metric is declared",
			"declare a Metric with source outcome, or correct the name",
		);
	}
	if (metric.source !== "outcome") {
		const message = `metric ${metric.name} is measured from the access log`;
		return refusal("not-an-outcome-metric", message, "send outcomes only for metrics with source outcome");
	}
	return metric;
}

function readValue(value: unknown, metric: MetricDeclaration): number | Refusal {
	if (typeof value !== "number" || !Number.isFinite(value)) {
		return refusal("value-not-finite", "value is not a finite JSON number", "write a number, without quotes");
	}
	if (Math.abs(value) > OUTCOME_VALUE_MAX) {
		const message = `value is beyond ${OUTCOME_VALUE_MAX}, where sums of squares leave double precision`;
		return refusal("value-too-large", message, "correct the value, or measure in a larger unit");
	}
	const range = metric.range ?? (metric.type === "rate" ? { lo: 0, hi: 1 } : null);
	if (range === null || (value >= range.lo && value <= range.hi)) return value;
	if (metric.type === "rate") {
		const message = `metric ${metric.name} is a rate: its values lie in [0, 1]`;
		return refusal("value-out-of-range", message, "write 0 or 1, or a share");
	}
	const message = `metric ${metric.name} has values in [${range.lo}, ${range.hi}]`;
	return refusal("value-out-of-range", message, "correct the value, or the Metric's range");
}

function readTime(time: unknown, receivedMs: number): number | Refusal {
	if (time === undefined || time === null) return receivedMs;
	// RFC 3339 allows lower-case letters.
	const ms = typeof time === "number" ? time : typeof time === "string" ? epochMs(time.toUpperCase()) : null;
	if (ms === null || !Number.isFinite(ms) || ms < 0) {
		return refusal(
			"time-invalid",
			"time is neither an RFC 3339 date-time nor epoch milliseconds",
			"write 2026-01-31T12:00:00Z",
		);
	}
	if (ms > receivedMs + OUTCOME_CLOCK_SKEW_MS) {
		const ahead = Math.ceil((ms - receivedMs) / 1000);
		return refusal(
			"time-in-future",
			`time is ${ahead} s ahead of this clock`,
			"send an outcome once it has happened; check clocks and units",
		);
	}
	return Math.floor(ms);
}

function readSubject(
	row: Readonly<Record<string, unknown>>,
	pseudonyms: Pseudonyms,
): { readonly unit: bigint | null; readonly request: bigint | null } | Refusal {
	const unit = row.unit ?? null;
	const requestId = row.requestId ?? null;
	if (unit !== null && requestId !== null) {
		return refusal("unit-and-request-id", "the row has both unit and requestId", "send one of them");
	}
	if (unit !== null) {
		const parsed = typeof unit === "string" ? parseUnit(unit) : null;
		if (parsed === null) {
			return refusal(
				"unit-invalid",
				"unit is not a unit",
				"printable ASCII without spaces and commas, as the unit header carries it",
			);
		}
		return { unit: pseudonyms.unit(parsed), request: null };
	}
	if (requestId === null) {
		return refusal("neither-unit-nor-request-id", "the row has neither unit nor requestId", "send one of them");
	}
	if (typeof requestId !== "string" || requestId === "" || requestId.length > REQUEST_ID_CHARS_MAX) {
		const hint = `the x-request-id of the request, at most ${REQUEST_ID_CHARS_MAX} characters`;
		return refusal("request-id-invalid", "requestId is not a request id", hint);
	}
	return { unit: null, request: pseudonyms.request(requestId) };
}
