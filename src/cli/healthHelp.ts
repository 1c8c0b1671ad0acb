/** Text of `weir up --help` and `weir control --help` about health checks. */
import { PUBLICATION_LAG_MS } from "../limits/index.js";

export const HEALTH_HELP = `
Health, on the API's listeners (on the UNIX socket, or with a certificate):
  GET /healthz  200 while the API responds. Use it for liveness checks.
  GET /readyz   503 with reasons if for more than ${PUBLICATION_LAG_MS / 1_000} s the published revision is older than the state, or a sidecar has not
                acknowledged its table; or if an Envoy or a sidecar rejects its configuration. They keep the previous
                configuration, so access revoked since then is still allowed. Use it for alerts. Do not take the API
                out of service: it is needed for the repair. Every client with a certificate can read it, so it names
                no resources; weir status (BEHIND, ALARM) and control's log do.
`;
