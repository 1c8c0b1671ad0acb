/** The connection from Envoy to a Service's servers: mutual TLS with their SPIFFE ids, or plain text. */
import { z } from "zod";
import { hostPort } from "../address.js";
import { spiffeId } from "../fields/spiffeField.js";
import { uniqueList } from "../fields/strict.js";
import { isOnEnvoyHost, PLAIN_TEXT } from "../plainText.js";
import type { Path } from "../position.js";
import type { Service, Variant } from "../resource.js";

const HINT = `write a list of SPIFFE ids, or ${PLAIN_TEXT}`;

export const identities = z
	.union([z.literal(PLAIN_TEXT), uniqueList(spiffeId, HINT).min(1, { error: HINT })], { error: HINT })
	.nullable()
	.default(null)
	.meta({
		description:
			"SPIFFE ids of the endpoints for mutual TLS; ids of Weir's own components are not accepted. plaintext: no TLS, which a protected Service must state if an endpoint is not on Envoy's host.",
	});

/**
 * Servers of a protected Service that would get plain text without a declaration of it, which is refused.
 * @param spec with `identities` from the YAML
 */
export function undeclaredPlainText(spec: {
	readonly access: Service["spec"]["access"];
	readonly identities: z.output<typeof identities>;
	readonly variants: readonly Variant[];
}): { readonly path: Path; readonly what: string; readonly hint: string } | null {
	if (spec.identities !== null || spec.access === "open") return null;
	const remote = spec.variants.flatMap(({ endpoints }, index) =>
		endpoints.flatMap((endpoint, at) =>
			isOnEnvoyHost(endpoint) ? [] : [{ path: ["variants", index, "endpoints", at], endpoint }],
		),
	);
	const [first] = remote;
	if (first === undefined) return null;
	const { address, port } = first.endpoint;
	const more = remote.length === 1 ? "" : ` (${remote.length - 1} more beside it)`;
	return {
		path: first.path,
		what: `is ${hostPort(address, port)}, off Envoy's machine${more}: requests to a protected Service would go there in plain text, and the server could not distinguish Envoy from another client`,
		hint: `write identities, the SPIFFE ids that its servers prove (mutual TLS), or identities: ${PLAIN_TEXT} where that is meant`,
	};
}
