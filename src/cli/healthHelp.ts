/** What `weir up --help` and `weir control --help` say about the health checks, where operators look for them. */
import { PUBLICATION_LAG_MS } from "../limits/index.js";

export const HEALTH_HELP = `
Health, on the API's listeners (on the UNIX socket, or with a certificate):
  GET /healthz  200 while the API answers. What restarts processes goes by this one.
  GET /readyz   503 and a sentence while Envoys are given an older revision than the state's for more than ${PUBLICATION_LAG_MS / 1_000} s
                (xds is gone, or hangs), or refuse what they are given, or a sidecar has not taken its table for so long
                (it hangs): they serve on, but what was revoked meanwhile still passes. Raise an alarm, and do not take
                the API out of service for it: what puts it right comes by this very API. It names nothing, for any client
                with a certificate may ask: weir status does (BEHIND, ALARM), and control's log.
`;
