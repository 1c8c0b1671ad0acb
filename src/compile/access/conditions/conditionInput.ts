/** The inputs of conditions from a request and its user, and their size limits. */
import {
	CONDITION_LIST_MAX,
	CONDITION_METHOD_CHARS_MAX,
	CONDITION_NAME_CHARS_MAX,
	CONDITION_PATH_CHARS_MAX,
	CONDITION_USER_CHARS_MAX,
	SPIFFE_ID_BYTES_MAX,
} from "../../../limits/index.js";
import type { VerifiedToken } from "../users/token.js";
import type { AccessRequest } from "../verdict.js";

/** Nesting of lists and maps in a token's claims; the claims object is one level. Real tokens have at most four. */
const CONDITION_CLAIMS_DEPTH_MAX = 8;

export class RequestView {
	readonly time: Date;
	constructor(
		readonly method: string,
		readonly path: string,
		readonly region: string | undefined,
		nowMs: number,
	) {
		this.time = new Date(nowMs);
	}
}

export class UserView {
	readonly issuer: string | undefined;
	readonly subject: string | undefined;
	readonly groups: readonly string[] | undefined;
	readonly tenants: readonly string[] | undefined;
	readonly purposes: readonly string[] | undefined;
	readonly claims: Readonly<Record<string, unknown>> | undefined;
	/** The token is too large or too deep for a condition, or has a value that CEL cannot represent exactly. */
	readonly tooLong: boolean;
	constructor(token: VerifiedToken | null) {
		this.issuer = token?.issuer;
		this.subject = token?.subject ?? undefined;
		this.groups = token?.groups;
		this.tenants = token?.tenants;
		this.purposes = token?.purposes;
		this.claims = token?.claims;
		this.tooLong =
			token !== null &&
			([token.groups, token.tenants, token.purposes, token.claims].some(
				(value) => weight(value) > CONDITION_LIST_MAX,
			) ||
				[token.groups, token.tenants, token.purposes, token.claims, token.issuer, token.subject].some(
					(value) => characters(value) > CONDITION_USER_CHARS_MAX,
				));
	}
}

/** Number of values in a value, up to the limit. */
function weight(value: unknown): number {
	if (typeof value !== "object" || value === null) return 1;
	let sum = 1;
	for (const item of Object.values(value)) {
		sum += weight(item);
		if (sum > CONDITION_LIST_MAX) break;
	}
	return sum;
}

/**
 * Characters of all texts in a value, with names. Infinite = refused: integers beyond 2^53 lose precision (RFC 8259 6), a
 * claim named constructor hides its type from the CEL library, and the library's time is quadratic in the depth.
 */
function characters(value: unknown, levels = CONDITION_CLAIMS_DEPTH_MAX): number {
	if (typeof value === "string") return value.length;
	if (typeof value === "number") return Math.abs(value) < 2 ** 53 ? 0 : Number.POSITIVE_INFINITY;
	if (typeof value !== "object" || value === null) return 0;
	if (levels === 0 || ![undefined, Object, Array].includes(value.constructor as ObjectConstructor)) {
		return Number.POSITIVE_INFINITY;
	}
	let sum = 0;
	for (const [name, item] of Object.entries(value)) {
		sum += (Array.isArray(value) ? 0 : name.length) + characters(item, levels - 1);
	}
	return sum;
}

export const NO_USER = new UserView(null);
const users = new WeakMap<VerifiedToken, UserView>();

export function userOf(token: VerifiedToken | null): UserView {
	if (token === null) return NO_USER;
	let user = users.get(token);
	if (user === undefined) {
		user = new UserView(token);
		users.set(token, user);
	}
	return user;
}

/** Whether the inputs are within the sizes that conditionCost.ts assumes; the path only if the condition reads it. */
export const isWithinLimits = (
	{ principal, method, path, variant, region }: AccessRequest,
	service: string,
	readsPath: boolean,
): boolean =>
	(!readsPath || path.length <= CONDITION_PATH_CHARS_MAX) &&
	method.length <= CONDITION_METHOD_CHARS_MAX &&
	(principal?.length ?? 0) <= SPIFFE_ID_BYTES_MAX &&
	(variant?.length ?? 0) <= CONDITION_NAME_CHARS_MAX &&
	(region?.length ?? 0) <= CONDITION_NAME_CHARS_MAX &&
	service.length <= CONDITION_NAME_CHARS_MAX;
