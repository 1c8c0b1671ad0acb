/** The section of docs/failures.md about an absent identity agent. Checked by test/cli/stack/identityAway and test/trust/identity. */

import { IDENTITY_GAUGES } from "../../src/cli/stack/renewal.js";
import { IDENTITY_UNRENEWED } from "../../src/operate/api/wire.js";
import { IDENTITY_SVID_LIFETIME_MS } from "../../src/trust/identity/ca.js";
import { IDENTITY_UNRENEWED_SHARE } from "../../src/trust/identity/validity.js";

const minutes = (share: number): string => `${(IDENTITY_SVID_LIFETIME_MS * share) / 60_000} minutes`;

export const IDENTITY_ENDS = `## When the identity agent is away

\`weir ca\` or the SPIRE agent is away, hangs or refuses. All parts go on with their last SVIDs: for 30 to 60 minutes of an hour's life. Then
all end at about the same time. When the agent is back, each part takes its next SVID within seconds, and no restart is needed. **Restart
nothing meanwhile**: a part that starts has no SVID, waits 10 seconds for one, and ends (\`no identity from SOCKET\`).

| | what happens | what shows it |
|---|---|---|
| the agent is away | nothing yet: the last SVIDs work | the log of each part: \`the agent at SOCKET: …; the last SVID works until …\` (\`weir envoy --control\` on standard error); \`${IDENTITY_GAUGES.left.name}\` |
| less than a quarter of the life is left (${minutes(IDENTITY_UNRENEWED_SHARE)} of an hour) | still nothing: time to act | ALARM \`${IDENTITY_UNRENEWED}\` with each part's end, a note in /readyz, \`${IDENTITY_GAUGES.unrenewed.name}\` 1, the log |
| control's has ended | its TCP listeners show the ended certificate, and clients refuse it (\`certificate has expired\`). Its UNIX sockets answer: ask on its machine | the ALARM says \`expired at\`, and the note of an Envoy that is gone that it is control's; \`weir_handshakes_refused_total{reason="tls"}\` of its listeners |
| the sidecar's has ended | no client connects to it over TCP, and it signs no decision: a predictor that demands one refuses (403) | the ALARM, of the sidecar on control's machine; of others \`${IDENTITY_GAUGES.left.name}\` at their own metrics socket |
| Envoy's has ended | clients refuse its certificate at Gateways with \`identity: mesh\`, and endpoints with \`identities\` do: 503 | \`/certs\` of Envoy's admin socket; control's note of an Envoy that is gone |
`;
