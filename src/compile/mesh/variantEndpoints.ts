/** Endpoints of a Variant by kind, for a Kubernetes mesh: Services of the cluster, DNS names, IP addresses. */
import { isIp } from "../../declare/resources/address.js";
import type { Endpoint } from "../../declare/resources/resource.js";

export interface ClusterService {
	readonly name: string;
	readonly namespace: string;
}

const CLUSTER_SERVICE = /^([a-z0-9-]+)\.([a-z0-9-]+)\.svc(\.[a-z0-9.-]+)?$/;

/** The Kubernetes Service of a DNS name (`NAME.NAMESPACE.svc[.DOMAIN]`); null = none. */
export function clusterService(address: string): ClusterService | null {
	const [, name, namespace] = CLUSTER_SERVICE.exec(address) ?? [];
	return name === undefined || namespace === undefined ? null : { name, namespace };
}

export interface EndpointGroups {
	readonly services: readonly Endpoint[];
	readonly names: readonly Endpoint[];
	readonly addresses: readonly Endpoint[];
}

export function grouped(endpoints: readonly Endpoint[]): EndpointGroups {
	const services = endpoints.filter(({ address }) => clusterService(address) !== null);
	const addresses = endpoints.filter(({ address }) => isIp(address));
	return {
		services,
		addresses,
		names: endpoints.filter((endpoint) => !services.includes(endpoint) && !addresses.includes(endpoint)),
	};
}
