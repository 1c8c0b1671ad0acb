/** The part of deploy/failures.md about the API's TCP door: the bounds themselves, which test/state/apiUnderWay and test/cli check. */
import {
	API_BODY_MS_MAX,
	API_FORWARDED_AT_ONCE_MAX,
	API_FORWARDED_NAMED_MAX,
	API_FORWARDED_OF_OWNER_MAX,
	API_FORWARDED_OF_SUBJECT_MAX,
	API_FORWARDED_WAIT_MS,
	API_FORWARDED_WAIT_MS_MAX,
	API_REQUESTS_AHEAD_MAX,
	API_REQUESTS_PER_SUBJECT_MAX,
} from "../../src/limits.js";
import type { RequestBound } from "../../src/state/api/underWay.js";

const counted = (bound: RequestBound): string => `\`weir_api_requests_too_many_total{bound="${bound}"}\``;

export const API_LIMITS = `## When the API's TCP door takes no more

The machine's owner, by the UNIX socket, has none of these bounds: ${API_FORWARDED_OF_OWNER_MAX} requests of its are passed on to one role at once, and the
others wait. Who was beyond one is in \`weir audit operators\` (\`ask\`, refused), at once and then once a minute with the number.

| bound | for each | value | beyond | counted as |
|---|---|---|---|---|
| requests under way, long polls among them | subject | ${API_REQUESTS_PER_SUBJECT_MAX} | 429 with \`Retry-After\` | ${counted("subject")} |
| requests sent ahead, behind the one that is answered | connection | ${API_REQUESTS_AHEAD_MAX} | it ends after those, or is cut | ${counted("ahead")} |
| requests that are passed on to ingest, to xds or to the trace store | role | ${API_FORWARDED_AT_ONCE_MAX}, of one subject ${API_FORWARDED_OF_SUBJECT_MAX} | they wait, the subjects in turn; who waits for others', not behind ${API_FORWARDED_OF_SUBJECT_MAX} of its own, gets 503 with \`Retry-After\` after ${API_FORWARDED_WAIT_MS / 1_000} s, and anybody after ${API_FORWARDED_WAIT_MS_MAX / 1_000} s in all | ${counted("forwarded")} |

The record of the last bound names whom it was waited for, ${API_FORWARDED_NAMED_MAX} subjects at most. A body that does not come holds its place for ${API_BODY_MS_MAX / 1_000} s: one
identity with many of those keeps its own requests waiting, ${API_FORWARDED_AT_ONCE_MAX / API_FORWARDED_OF_SUBJECT_MAX} keep everybody's, outcomes and readers of the decision log. Take such
senders out of the Metrics' \`senders\`: who is in none is refused before a body comes. Where those that are named send whole bodies,
the role itself is slow, or hangs.

A sender that gives up while its body waits is noticed at once where it had sent less than 16 KiB. Of more nothing is read before its
turn, nor the end of its connection: it counts as under way until it is read, ${API_FORWARDED_WAIT_MS_MAX / 1_000} s at the most, and where an identity has ${API_REQUESTS_PER_SUBJECT_MAX} of those its next
request gets 429. Have clients wait longer than that before they try again, keep bodies below 16 KiB, or send ${API_FORWARDED_OF_SUBJECT_MAX} at once at the most.
`;
