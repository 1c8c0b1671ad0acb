/** Interfaces that the cli passes to identity. */

/** Prometheus counters with the prefix `weir_` and `_total`. */
export interface Meter {
	count(name: string, help: string, labels?: Readonly<Record<string, string>>): void;
}

/** Logs one line; never a key, a certificate or a token. */
export type LogLine = (line: string) => void;
