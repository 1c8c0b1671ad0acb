/** What the predictor needs from telemetry; the cli passes telemetry's meter and log, tests stand in for them. */

/** Prometheus metrics: names carry the prefix `weir_`, base units, and `_total` on counters. */
export interface Meter {
	count(name: string, help: string, labels?: Readonly<Record<string, string>>, by?: number): void;
	gauge(name: string, help: string, value: number, labels?: Readonly<Record<string, string>>): void;
	observe(name: string, help: string, value: number, labels?: Readonly<Record<string, string>>): void;
}

/** Structured log; never given payloads. */
export interface Log {
	info(message: string, fields?: Readonly<Record<string, string | number | boolean>>): void;
	warn(message: string, fields?: Readonly<Record<string, string | number | boolean>>): void;
	error(message: string, fields?: Readonly<Record<string, string | number | boolean>>): void;
}
