/** Where the hop from Envoy to a Service's servers is plain text; apart from the schema (hop.ts), which few processes load. */
import { isLoopbackHost, oneSpelling } from "./address.js";
import type { Endpoint } from "./resource.js";

/** What a declaration says of servers that prove nothing. */
export const PLAIN_TEXT = "plaintext";

/** By an address that leads nowhere else, on the machine of whichever Envoy asks. */
export const isBesideEnvoy = ({ address }: Pick<Endpoint, "address">): boolean => isLoopbackHost(oneSpelling(address));
