/**
 * Detects request loops. Endpoints may lead back to the Gateway through a name or load balancer that no check can see, and a
 * request would loop until Envoy runs out of file descriptors. So each Service's requests are marked on the way upstream, and
 * a marked request is answered with 508 (RFC 5842 section 7.2). The mark is in CDN-Loop (RFC 8586), which proxies must keep
 * and which, unlike Via, changes no server's behaviour.
 */
import { contentHash } from "../assignment/hash.js";

const LOOP_HEADER = "cdn-loop";

/** Name of the built-in deny rule of weir.gate in Envoy's statistics and response details. */
export const LOOP = "(loop)";

/**
 * Pseudonym (RFC 8586 section 2) of one Service behind one Gateway. A pipeline that calls another Service through the same
 * Gateway is no loop, and neither is a chain of Gateways of the same name in two installations.
 */
export const loopMark = (installation: string, gateway: string, service: string): string =>
	`weir-${contentHash(JSON.stringify([installation, gateway, service]))}`;

/** request_headers_to_add of a virtual host. Retries keep the headers of the first try. */
export const loopHeader = (mark: string): object => ({
	header: { key: LOOP_HEADER, value: mark },
	append_action: "APPEND_IF_EXISTS_OR_ADD",
});

export const loopRule = (mark: string): object => ({
	permissions: [{ header: { name: LOOP_HEADER, string_match: { contains: mark } } }],
	principals: [{ any: true }],
});
