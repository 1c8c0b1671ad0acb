/** What the predictor needs from other rooms; the cli passes it, tests stand in for it. */

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

/** Who this predictor is, and how it reads who others are: an SVID that is renewed while the predictor runs. */
export interface DoorIdentity {
	/** The newest: own certificate with its chain, its key, and the authorities whose certificates are believed; PEM. */
	current(): { readonly certificate: string; readonly privateKey: string; readonly trustBundle: string };
	/** Called when current() has changed. @returns stops it */
	onRotated(listener: () => void): () => void;
	/** SPIFFE id of a certificate (DER) that TLS has verified against the bundle; null = it is no X.509-SVID. */
	idOf(certificate: Buffer): string | null;
}

/** One request, as the signed decision must describe it. */
export interface DecisionQuestion {
	/** Each x-weir-decision header apart. */
	readonly decisions: readonly string[];
	readonly method: string;
	/** With its query, as it came. */
	readonly path: string;
	readonly service: string;
	readonly variant: string;
}

/** A decision that allows exactly this request now. Each is used once. */
export interface GoodDecision {
	/** @returns null where it was not used before, and is now; else why not, in a few words */
	readonly use: () => string | null;
	/** After a use of which nothing came: a retry of the request carries the same one. */
	readonly giveBack: () => void;
}

/** @returns why no decision allows it, in a few words, or the one that does: not used up, so that others can still ask */
export type CheckDecision = (question: DecisionQuestion) => string | GoodDecision | Promise<string | GoodDecision>;
