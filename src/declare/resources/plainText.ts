/** Whether Envoy calls a Service's servers in plain text. Apart from the schema (upstreamTls.ts), which few processes load. */
import { canonicalAddress, isLoopbackHost } from "./address.js";
import type { Endpoint } from "./resource.js";

/** The declared value for servers without TLS. */
export const PLAIN_TEXT = "plaintext";

/** A loopback address, so on the machine of the Envoy that connects. */
export const isOnEnvoyHost = ({ address }: Pick<Endpoint, "address">): boolean =>
	isLoopbackHost(canonicalAddress(address));
