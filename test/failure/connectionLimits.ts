/** The section of docs/failures.md about connections of clients. Checked by test/envoy/connectionShare. */

import { GATEWAY_CONNECTIONS_MAX } from "../../src/compile/envoy/bootstrap.js";
import { GATEWAY_HARDENING } from "../../src/compile/envoy/canonical.js";
import {
	GATEWAY_CONNECTIONS_EACH_MAX,
	GATEWAY_HANDSHAKE_MS,
	GATEWAY_IDLE_MS,
} from "../../src/compile/envoy/listener.js";
import { GATEWAY_IDLE_MS_MAX, GATEWAY_IDLE_MS_MIN } from "../../src/declare/resources/schemas/gateway.js";
import { GATEWAY_CONNECTION_MS } from "../../src/limits/index.js";

const number = (value: number): string => value.toLocaleString("en");
const seconds = (ms: number): string => `${number(ms / 1_000)} s`;

export const CONNECTION_LIMITS = `## When a Gateway takes no more connections

New connections are closed before TLS, and the client sees a reset. Open connections go on. Envoy counts them.

| bound | value | Envoy's counter |
|---|---|---|
| connections of one Gateway at one Envoy | ${number(GATEWAY_CONNECTIONS_EACH_MAX)} | \`connection_limit.gateway.NAME.limited_connections\` |
| of all Gateways of one Envoy | ${number(GATEWAY_CONNECTIONS_MAX)} | \`listener.gateway.NAME.downstream_global_cx_overflow\` |
| a TLS handshake | ${seconds(GATEWAY_HANDSHAKE_MS)} | \`listener.gateway.NAME.downstream_cx_transport_socket_connect_timeout\` |
| without a request, before the first or between two | the Gateway's \`connectionIdleTimeout\`: ${seconds(GATEWAY_IDLE_MS)}, or ${seconds(GATEWAY_IDLE_MS_MIN)} to ${seconds(GATEWAY_IDLE_MS_MAX)}; where client certificates are demanded ${seconds(GATEWAY_CONNECTION_MS)} or less | \`http.gateway.NAME.downstream_cx_idle_timeout\` |
| a request's head | ${seconds(GATEWAY_HARDENING.headersMs)} where a Service is protected, else ${seconds(GATEWAY_IDLE_MS)} | \`http.gateway.NAME.downstream_rq_header_timeout\` |

Two Gateways that are open to all can together take all connections of their Envoy: give each an Envoy of its own
(\`--envoy-gateways ID=GATEWAY\`). Against clients that hold many connections, bound connections per client at a load balancer in front.
\`connectionIdleTimeout\` must be longer than the load balancer's own (AWS ALB: 60 s; Google: 600 s, so \`620s\`).
`;

/** The counters that it names. */
export const CONNECTION_COUNTERS: readonly string[] = [
	...CONNECTION_LIMITS.matchAll(/`([a-z_]+\.gateway\.NAME\.[a-z_]+)`/g),
].map(([, name]) => name ?? "");
