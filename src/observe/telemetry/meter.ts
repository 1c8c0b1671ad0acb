/**
 * Metrics in the Prometheus text format; the one owner of prom-client. A process has one meter; `mergeMetrics`
 * joins the meters of several processes into one endpoint with one HELP and TYPE for each metric.
 * Names: `weir_` prefix, base units, `_total` on counters (prometheus.io/docs/practices/naming).
 */
import { randomUUID } from "node:crypto";
import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from "prom-client";
import { WeirError } from "../../error.js";

/** Label sets of one metric; beyond it label values become "other", so that no client can grow a series. */
const METRIC_LABEL_SETS_MAX = 1_000;

export type Labels = Readonly<Record<string, string>>;

/** Labels of one metric always have the same names. Other folders declare the part they use as their own port. */
export interface Meter {
	count(name: string, help: string, labels?: Labels, by?: number): void;
	gauge(name: string, help: string, value: number, labels?: Labels): void;
	/** A histogram; its buckets follow the unit at the end of the name, `_seconds` or `_bytes`. */
	observe(name: string, help: string, value: number, labels?: Labels): void;
	/** The body of /metrics. */
	text(): Promise<string>;
	/** Input of mergeMetrics. */
	json(): Promise<MetricsJson>;
}

/** Metrics that a process sends to the process that serves /metrics: JSON. */
export interface MetricsJson {
	/** Identifies the meter: roles in one process share it and each return it. */
	readonly meter: string;
	readonly metrics: readonly object[];
}

export const METRICS_CONTENT_TYPE: string = Registry.PROMETHEUS_CONTENT_TYPE;

/** OpenTelemetry's http.server.request.duration, with finer steps below: Envoy and the models answer in microseconds. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const BYTES = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216];

interface Series<M> {
	readonly metric: M;
	readonly labelNames: readonly string[];
	/** Known label sets; above the limit new ones are counted as "other". */
	readonly seen: Set<string>;
}

/** @param role label of every series: which process of Weir it is, e.g. `ingest` */
export function createMeter({ role }: { readonly role: string }): Meter {
	const registry = new Registry();
	const meter = randomUUID();
	const counters = new Map<string, Series<Counter>>();
	const gauges = new Map<string, Series<Gauge>>();
	const histograms = new Map<string, Series<Histogram>>();

	function series<M>(
		all: Map<string, Series<M>>,
		name: string,
		labels: Labels,
		make: (names: string[]) => M,
	): Series<M> {
		let one = all.get(name);
		if (one === undefined) {
			const labelNames = Object.keys(labels);
			one = { metric: make(["role", ...labelNames]), labelNames, seen: new Set() };
			all.set(name, one);
		}
		return one;
	}

	return {
		count(name, help, labels = {}, by = 1) {
			const make = (labelNames: string[]): Counter => {
				checkName(name, /_total$/);
				return new Counter({ name, help, labelNames, registers: [registry] });
			};
			const one = series(counters, name, labels, make);
			one.metric.inc(bounded(name, one, labels, role), by);
		},
		gauge(name, help, value, labels = {}) {
			const make = (labelNames: string[]): Gauge => {
				checkName(name, /(?<!_total)$/);
				return new Gauge({ name, help, labelNames, registers: [registry] });
			};
			const one = series(gauges, name, labels, make);
			one.metric.set(bounded(name, one, labels, role), value);
		},
		observe(name, help, value, labels = {}) {
			const make = (labelNames: string[]): Histogram => {
				checkName(name, /_(seconds|bytes)$/);
				const buckets = name.endsWith("_bytes") ? BYTES : SECONDS;
				return new Histogram({ name, help, labelNames, buckets, registers: [registry] });
			};
			const one = series(histograms, name, labels, make);
			one.metric.observe(bounded(name, one, labels, role), value);
		},
		text: () => registry.metrics(),
		json: async () => ({ meter, metrics: await registry.getMetricsAsJSON() }),
	};
}

/** One text from the metrics of several roles; series with equal labels are summed, each meter once. */
export function mergeMetrics(roles: readonly MetricsJson[]): Promise<string> {
	const meters = new Map(roles.map(({ meter, metrics }) => [meter, [...metrics]]));
	return AggregatorRegistry.aggregate([...meters.values()]).metrics();
}

function checkName(name: string, ending: RegExp): void {
	if (/^weir_[a-z0-9_]+$/.test(name) && ending.test(name)) return;
	throw new WeirError(
		"internal",
		`'${name}' is no metric name`,
		"weir_…, in base units: …_total for counters, …_seconds or …_bytes for histograms",
	);
}

function bounded(
	name: string,
	{ labelNames, seen }: Series<unknown>,
	labels: Labels,
	role: string,
): Record<string, string> {
	if (Object.keys(labels).length !== labelNames.length || labelNames.some((label) => labels[label] === undefined)) {
		throw new WeirError("internal", `metric ${name} has the labels ${labelNames.join(", ")} and no others`);
	}
	const key = labelNames.map((label) => labels[label]).join("\u0000");
	if (!seen.has(key)) {
		if (seen.size >= METRIC_LABEL_SETS_MAX) {
			return { role, ...Object.fromEntries(labelNames.map((label) => [label, "other"])) };
		}
		seen.add(key);
	}
	return { role, ...labels };
}
