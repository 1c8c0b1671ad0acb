/** The section of docs/failures.md about lost access-log entries. Checked by test/cli/roles/droppedEntries and test/observe/events. */

import { ACCESS_LOG_UNSENT_BYTES } from "../../src/compile/envoy/bootstrap.js";
import { IN_PROGRESS_MS } from "../../src/limits/index.js";
import { DROPPED_COUNTER } from "../../src/observe/agent/accessLogLosses.js";
import { COUNTERS } from "../../src/observe/events/meter.js";
import { DROPPED_BACKLOG_MS } from "../../src/observe/events/receive/requests/requestCommit.js";

const lost = (result: string): string => `\`${COUNTERS.entries.name}{result="${result}"}\``;

export const ACCESS_LOG_LOSSES = `## When the access log does not keep up

Envoy buffers what ingest has not taken yet, up to ${ACCESS_LOG_UNSENT_BYTES / 1_048_576} MiB for each worker and 16 MiB for its stream of each Gateway, and drops the rest. A
flood does that, by refused requests too. Denials are then missing from the access record log: limit the client in front of the Envoy.

| lost | counted as | and for Experiments |
|---|---|---|
| dropped by Envoy (\`${DROPPED_COUNTER}\`, of the Envoy on ingest's machine and those that \`weir envoy\` runs) | ${lost("undelivered")} | requests first heard of up to ${IN_PROGRESS_MS / 1_000} s before and ${DROPPED_BACKLOG_MS / 1_000} s after are left out of errors and latencies; and as below |
| beyond ingest's queue, for a store that is slow | ${lost("dropped")} | more than 1 % of the exposed people: neither ramp nor promotion, and the decision says why |
| of an unknown plan, or not readable | ${lost("unreadable")} | the same |
| written by Envoy while ingest was away, or while their connection was broken | \`records-missing\` in \`weir audit requests\` | requests under way while ingest was away are left out of errors and latencies; denials have no record |
`;
