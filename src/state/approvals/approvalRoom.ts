/**
 * Room for requests that wait for approval, by number and by bytes: nobody, and no namespace, takes all of it. Acts on
 * Experiments take no bytes of it, for they are small, and an abort may be urgent. Pure.
 */
import { WeirError } from "../../error.js";
import {
	APPROVAL_CONTENT_BYTES_MAX,
	APPROVAL_CONTENT_BYTES_PER_SUBJECT_MAX,
	APPROVAL_REQUESTS_PENDING_MAX,
	APPROVAL_REQUESTS_PER_SUBJECT_MAX,
} from "../../limits.js";
import { ALL_NAMESPACES } from "../rights/permissions.js";
import type { RequestHead } from "./approval.js";

type Waiting = Pick<RequestHead, "governedBy" | "bytes"> & { readonly askedBy: { readonly subject: string } };

const ROOMS = [
	{
		what: "requests",
		max: APPROVAL_REQUESTS_PENDING_MAX,
		ofSubject: APPROVAL_REQUESTS_PER_SUBJECT_MAX,
		sizeOf: (_: Waiting) => 1,
	},
	{
		what: "bytes of requests",
		max: APPROVAL_CONTENT_BYTES_MAX,
		ofSubject: APPROVAL_CONTENT_BYTES_PER_SUBJECT_MAX,
		sizeOf: ({ bytes }: Waiting) => bytes,
	},
] as const;

const HINT = "approve or reject some first: weir requests";

/**
 * @throws WeirError `resource-exhausted` where too much waits already: in all, of who asks, or of a namespace, which
 *   leaves as much room as it takes
 */
export function demandRoom(waiting: readonly Waiting[], asked: Waiting): void {
	const own = waiting.filter(({ askedBy }) => askedBy.subject === asked.askedBy.subject);
	// Many namespaces together can fill their shelf; who may free them has another.
	const beside = waiting.filter((one) => isPlatforms(one) === isPlatforms(asked));
	for (const { what, max, ofSubject, sizeOf } of ROOMS) {
		const size = sizeOf(asked);
		if (size === 0) continue;
		const all = (some: readonly Waiting[]) => some.reduce((sum, one) => sum + sizeOf(one), size);
		const left = max - all(beside);
		if (left < 0 || all(own) > ofSubject) {
			throw new WeirError("resource-exhausted", `too many ${what} wait for approval`, HINT);
		}
		const full = asked.governedBy.find(
			// The last one may go to whoever has none.
			(namespace) => all(beside.filter(({ governedBy }) => governedBy.includes(namespace))) > left + 1,
		);
		if (full === undefined) continue;
		const where = full === ALL_NAMESPACES ? "all namespaces" : `namespace ${full}`;
		throw new WeirError("resource-exhausted", `too many ${what} of ${where} wait for approval`, HINT);
	}
}

const isPlatforms = ({ governedBy }: Waiting): boolean => governedBy.includes(ALL_NAMESPACES);
