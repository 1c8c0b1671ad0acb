import { CLIENT_STOPS_AT_ONCE_MAX, CLIENT_STOPS_MAX } from "../../src/operate/api/api.js";
import {
	CLIENT_REQUESTS_AT_ONCE_MAX,
	CLIENT_REQUESTS_MAX,
	CLIENT_REQUESTS_WINDOW_SECONDS,
} from "../../src/trust/clients/clientLimiter.js";

/** The section of docs/failures.md about limits of clients. Checked by test/trust/clients/clientLimits. */

const number = (value: number): string => value.toLocaleString("en");

export const API_LIMITS = `## When the API answers 429

Each client (SPIFFE id, token subject or local user) has its own limits at the API. Beyond them it gets 429 with \`Retry-After\`;
\`weir_api_requests_limited_total{exceeded="rate"|"concurrency"}\` counts it, and \`weir audit operators\` records it once a minute (\`ask\`,
refused).

| limit | each client | aborts, pauses and rollbacks besides |
|---|---|---|
| requests in ${CLIENT_REQUESTS_WINDOW_SECONDS} s | ${number(CLIENT_REQUESTS_MAX)} | ${CLIENT_STOPS_MAX} |
| requests in progress | ${CLIENT_REQUESTS_AT_ONCE_MAX} | ${CLIENT_STOPS_AT_ONCE_MAX} |

Have senders of outcomes put many rows into one request, and retry after the time that the answer says.
`;
