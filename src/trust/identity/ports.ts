/** What identity needs from other rooms; the cli passes it, tests stand in for it. */

/** Prometheus counters with the prefix `weir_` and `_total`. */
export interface Meter {
	count(name: string, help: string, labels?: Readonly<Record<string, string>>): void;
}

/** One line for a person; never a key, a certificate or a token. */
export type Say = (line: string) => void;
