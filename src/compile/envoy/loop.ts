/**
 * Endpoints may lead back to the Gateway itself, by a name or a load balancer that no check can see through, and one
 * request would go round until Envoy has no file left. So each Service's requests are marked on their way upstream, and
 * one that comes with the mark is answered with 508 (RFC 5842 section 7.2). The mark travels in CDN-Loop (RFC 8586),
 * which was made for this, which proxies between must not take away, and which no server reads as a wish, as some do Via.
 */
import { contentHash } from "../assignment/hash.js";

const LOOP_HEADER = "cdn-loop";

/** Name of the built-in deny rule of weir.gate, in Envoy's statistics and response details. */
export const LOOP = "(loop)";

/**
 * A pseudonym (RFC 8586 section 2) of one Service behind one Gateway: a pipeline that calls another Service through the
 * same Gateway, and another installation's Gateway of the same name in a chain, are no loops.
 */
export const loopMark = (installation: string, gateway: string, service: string): string =>
	`weir-${contentHash(JSON.stringify([installation, gateway, service]))}`;

/** request_headers_to_add of a virtual host. A retry keeps the headers of the first try. */
export const marked = (mark: string): object => ({
	header: { key: LOOP_HEADER, value: mark },
	append_action: "APPEND_IF_EXISTS_OR_ADD",
});

export const loopRule = (mark: string): object => ({
	permissions: [{ header: { name: LOOP_HEADER, string_match: { contains: mark } } }],
	principals: [{ any: true }],
});
