/**
 * The one error class of Weir. Every error that a person or a program may meet carries a code from a closed
 * set, a sentence that says what happened, a hint that says what to do, and the cause it wraps.
 */

/** Closed set; the names are those of gRPC (google.rpc.Code) so that each maps to one wire status. */
export type ErrorCode =
	| "invalid-argument"
	| "not-found"
	| "already-exists"
	| "conflict"
	| "failed-precondition"
	| "permission-denied"
	| "resource-exhausted"
	| "unavailable"
	| "deadline-exceeded"
	/** The client has gone. */
	| "cancelled"
	| "internal";

/** HTTP status of each code; the single place where the mapping is written. */
export const HTTP_STATUS: Readonly<Record<ErrorCode, number>> = {
	"invalid-argument": 400,
	"not-found": 404,
	"already-exists": 409,
	conflict: 409,
	"failed-precondition": 412,
	"permission-denied": 403,
	"resource-exhausted": 429,
	unavailable: 503,
	"deadline-exceeded": 504,
	cancelled: 499,
	internal: 500,
};

export class WeirError extends Error {
	override readonly name = "WeirError";
	/** After how many seconds a client may try again (Retry-After); null = unknown. */
	readonly retryAfterS: number | null;

	constructor(
		readonly code: ErrorCode,
		message: string,
		/** What the operator can do about it: one sentence, or empty where the message already says it. */
		readonly hint = "",
		options: { readonly cause?: unknown; readonly retryAfterS?: number } = {},
	) {
		super(message, options);
		this.retryAfterS = options.retryAfterS ?? null;
	}

	/** The wire form; never contains the cause, which may hold internals. */
	toJSON(): { code: ErrorCode; message: string; hint: string } {
		return { code: this.code, message: this.message, hint: this.hint };
	}

	/** Any thrown value as a WeirError; what is not ours becomes `internal` with the cause kept. */
	static from(thrown: unknown): WeirError {
		if (thrown instanceof WeirError) return thrown;
		const message = thrown instanceof Error ? thrown.message : String(thrown);
		return new WeirError("internal", message, "", { cause: thrown });
	}
}
