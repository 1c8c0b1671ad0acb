/** Error responses of the predictor, and the conversion of errors to them. */
import type { IncomingMessage } from "node:http";
import { HTTP_STATUS, WeirError } from "../../error.js";
import type { BodyResult } from "./body.js";

export interface Refusal {
	readonly status: number;
	readonly message: string;
	readonly headers: Readonly<Record<string, string>>;
}

export const refusal = (status: number, message: string, headers: Refusal["headers"] = {}): Refusal => ({
	status,
	message,
	headers,
});

const RETRY = { "retry-after": "1" };

export const OVERLOAD: Refusal = refusal(503, "too many requests at once", RETRY);

export const TOO_LARGE: Refusal = refusal(413, "the body is larger than the predictor takes");

/** Checks before the body is read. */
export function refusalOfHeaders({ headers }: IncomingMessage): Refusal | null {
	const type = headers["content-type"];
	if (type === undefined || !/^application\/json *(; *charset="?utf-8"? *)?$/i.test(type)) {
		return refusal(415, "send Content-Type: application/json");
	}
	const encoding = headers["content-encoding"];
	if (encoding !== undefined && encoding !== "identity") {
		return refusal(415, "send the body without Content-Encoding");
	}
	return null;
}

export function refusalOfBody(kind: Exclude<BodyResult["kind"], "text" | "gone">): Refusal {
	switch (kind) {
		case "too-large":
			return TOO_LARGE;
		case "slow":
			return refusal(408, "the body did not come in time");
		case "crowded":
			return refusal(408, "the body was not whole when others needed its room");
		case "not-utf8":
			return refusal(400, "the body is not UTF-8");
	}
}

/** Messages of other errors than WeirError may hold internals and are not sent. */
export function refusalOf(error: unknown): Refusal {
	if (!(error instanceof WeirError)) return refusal(500, "internal error");
	const status = HTTP_STATUS[error.code];
	return refusal(status, error.message, status === 503 ? RETRY : {});
}
