/** What `weir up --help` and `weir control --help` say about the health checks, where operators look for them. */
import { PUBLICATION_LAG_MS } from "../limits/index.js";

export const HEALTH_HELP = `
Health, on the API's listeners (on the UNIX socket, or with a certificate):
  GET /healthz  200 while the API answers. What restarts processes goes by this one.
  GET /readyz   503 and the reasons while the published revision is behind the state for more than ${PUBLICATION_LAG_MS / 1_000} s, or an Envoy or
                sidecar refuses what is published, or a sidecar has not answered to its table for so long. They go on
                serving what they have, so what was revoked meanwhile still passes. Raise an alarm by it; do not take the
                API out of service, because the repair comes by the API. Any client with a certificate may ask, so it
                names no resources: weir status does (BEHIND, ALARM), and control's log.
`;
