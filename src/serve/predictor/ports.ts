/** Interfaces that the cli passes to the predictor. */

/** Prometheus metrics: names carry the prefix `weir_`, base units, and `_total` on counters. */
export interface Meter {
	count(name: string, help: string, labels?: Readonly<Record<string, string>>, by?: number): void;
	gauge(name: string, help: string, value: number, labels?: Readonly<Record<string, string>>): void;
	observe(name: string, help: string, value: number, labels?: Readonly<Record<string, string>>): void;
}

/** Structured log, without payloads. */
export interface Log {
	info(message: string, fields?: Readonly<Record<string, string | number | boolean>>): void;
	warn(message: string, fields?: Readonly<Record<string, string | number | boolean>>): void;
	error(message: string, fields?: Readonly<Record<string, string | number | boolean>>): void;
}

/** The predictor's SVID, which rotates, and the check of its clients' ids. */
export interface ServerIdentity {
	/** The newest certificate with its chain, its key, and the trusted roots; PEM. */
	current(): { readonly certificate: string; readonly privateKey: string; readonly trustBundle: string };
	/** Called when current() has changed. @returns stops it */
	onRotated(listener: () => void): () => void;
	/** SPIFFE id of a certificate (DER) that TLS has verified against the bundle; null = it is no X.509-SVID. */
	idOf(certificate: Buffer): string | null;
}

/** The request that a signed decision must match. */
export interface DecisionQuestion {
	/** One entry for each x-weir-decision header. */
	readonly decisions: readonly string[];
	readonly method: string;
	/** With the query, unchanged. */
	readonly path: string;
	readonly service: string;
	readonly variant: string;
}

/** A valid decision for the request. It can be used once. */
export interface GoodDecision {
	/** Marks it as used. @returns null, or a short reason if it was used before */
	readonly use: () => string | null;
	/** Unmarks it, so that a retry of the request can use it. */
	readonly giveBack: () => void;
}

/** @returns the valid decision, not marked as used, or a short reason of the refusal */
export type CheckDecision = (question: DecisionQuestion) => string | GoodDecision | Promise<string | GoodDecision>;
