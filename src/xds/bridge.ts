/**
 * Make before break for endpoints: where all endpoints of a cluster are replaced and Envoy checks their health, the new ones
 * serve nobody before their first check, and the old ones would be gone. So both are published for as long as a first check
 * may take. An old one does not wait in a region where no new one is, nor where it is another cluster's now. Pure.
 */
import type { EnvoyResource, EnvoyResources } from "../compiler/plan.js";
import type { Published } from "./publication.js";

/** What waits, by cluster. */
export type Bridge = ReadonlyMap<string, Leaving>;

interface Leaving {
	readonly hosts: readonly Host[];
	readonly untilMs: number;
}

/** An address at a place. */
interface Host {
	readonly locality: Readonly<Record<string, string>>;
	readonly lbEndpoint: object;
	/** Of both address and port. */
	readonly key: string;
}

/**
 * @param before what was published last, without what waited then; null = nothing
 * @param waiting what waits since
 */
export function bridgeOver(before: EnvoyResources | null, waiting: Bridge, now: EnvoyResources, nowMs: number): Bridge {
	if (before === null) return new Map();
	const [were, are] = [hostsOf(before), hostsOf(now)];
	const taken = new Set([...are.values()].flatMap((hosts) => hosts.map(({ key }) => key)));
	const bridge = new Map<string, Leaving>();
	for (const cluster of now.clusters) {
		const timeoutMs = checkTimeoutMs(cluster);
		const name = String(cluster.name);
		const fresh = are.get(name) ?? [];
		if (timeoutMs === null || fresh.length === 0) continue;
		const known = waiting.get(name);
		const waits = known !== undefined && known.untilMs > nowMs ? known : null;
		const old = [...(were.get(name) ?? []), ...(waits?.hosts ?? [])];
		const had = new Set(old.map(({ key }) => key));
		const untilMs = fresh.some(({ key }) => had.has(key)) ? waits?.untilMs : nowMs + timeoutMs;
		const regions = new Set(fresh.map(({ locality }) => locality.region));
		const hosts = (untilMs === waits?.untilMs ? (waits?.hosts ?? []) : old).filter(
			({ key, locality }) => !taken.has(key) && regions.has(locality.region),
		);
		if (untilMs !== undefined && hosts.length > 0) bridge.set(name, { hosts, untilMs });
	}
	return bridge;
}

/** The same with what waits. */
export function bridged(published: Published, bridge: Bridge): Published {
	if (bridge.size === 0) return published;
	const over = (envoy: EnvoyResources): EnvoyResources => ({
		...envoy,
		endpoints: envoy.endpoints.map((one) => withHosts(one, bridge.get(String(one.cluster_name))?.hosts ?? [])),
	});
	const { closable } = published;
	return {
		...published,
		envoy: over(published.envoy),
		...(closable === undefined
			? {}
			: { closable: { ...closable, close: (services) => over(closable.close(services)) } }),
	};
}

/** When the first of what waits has waited long enough; null = nothing waits. */
export function bridgeEndsMs(bridge: Bridge): number | null {
	return bridge.size === 0 ? null : Math.min(...[...bridge.values()].map(({ untilMs }) => untilMs));
}

interface Locality {
	readonly locality: Readonly<Record<string, string>>;
	readonly lb_endpoints: readonly object[];
}

const localitiesOf = (endpoints: EnvoyResource): readonly Locality[] => endpoints.endpoints as readonly Locality[];

function hostsOf({ endpoints }: EnvoyResources): ReadonlyMap<string, readonly Host[]> {
	return new Map(
		endpoints.map((one) => [
			String(one.cluster_name),
			localitiesOf(one).flatMap(({ locality, lb_endpoints }) =>
				lb_endpoints.map((lbEndpoint) => ({ locality, lbEndpoint, key: JSON.stringify(lbEndpoint) })),
			),
		]),
	);
}

/** An empty set is one: what may not be used any more is not kept from going by those that wait. */
function withHosts(endpoints: EnvoyResource, hosts: readonly Host[]): EnvoyResource {
	if (hosts.length === 0 || localitiesOf(endpoints).length === 0) return endpoints;
	const groups = new Map(localitiesOf(endpoints).map((one) => [JSON.stringify(one.locality), one]));
	for (const { locality, lbEndpoint } of hosts) {
		const key = JSON.stringify(locality);
		const { lb_endpoints = [] } = groups.get(key) ?? {};
		groups.set(key, { locality, lb_endpoints: [...lb_endpoints, lbEndpoint] });
	}
	return { ...endpoints, endpoints: [...groups.values()] };
}

/** null = Envoy checks none. */
function checkTimeoutMs({ health_checks: checks }: EnvoyResource): number | null {
	const [check] = (checks ?? []) as readonly { readonly timeout: string }[];
	// As protoDuration writes it.
	return check === undefined ? null : Number(check.timeout.replace(/s$/, "")) * 1_000;
}
