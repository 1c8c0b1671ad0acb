/** Alarms of Gateways with the mesh's identity that refuse clients, by the trust domain of control's identity. */
import { qualifiedName, type ResourceSet } from "../../declare/resources/resource.js";
import { trustDomainOf } from "../../declare/resources/spiffe.js";
import { type GatewayAlarm, NO_CLIENTS, PROXY_REFUSED } from "../../operate/api/wire.js";

/** @param trustDomain of control's identity; null = no identity */
export const meshClientTroubles = (
	{ gateways }: Pick<ResourceSet, "gateways">,
	trustDomain: string | null,
): readonly GatewayAlarm[] =>
	gateways
		.filter(({ spec }) => spec.tls?.from === "identity")
		.flatMap(({ metadata, spec: { trustedProxies } }): readonly GatewayAlarm[] => {
			const gateway = qualifiedName(metadata);
			if (trustDomain === null) {
				const why = "control has no identity, so the mesh's trust domain is unknown: start it with --identity SOCKET";
				return [{ gateway, alarm: NO_CLIENTS, why }];
			}
			return trustedProxies
				.filter((proxy) => trustDomainOf(proxy) !== trustDomain)
				.map((proxy) => ({ gateway, alarm: PROXY_REFUSED, why: `${proxy} is not in ${trustDomain}` }));
		});
