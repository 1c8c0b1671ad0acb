/**
 * Make before break for endpoints: where Envoy checks their health, new ones serve nobody before their first check, and the
 * old ones would be gone. So both are published for as long as a first check may take. An old one does not wait in a region
 * where no new one is (a DataClass may forbid it), nor where it is another cluster's now. Pure.
 */
import { millisecondsOf } from "../compiler/duration.js";
import type { EnvoyResource, EnvoyResources } from "../compiler/plan.js";
import { ENDPOINTS_MAX } from "../limits.js";
import type { Published } from "./publication.js";

/** What waits, by cluster. */
export type Bridge = ReadonlyMap<string, readonly Leaving[]>;

interface Leaving extends Host {
	/** From when it left on: nothing that comes later lengthens it. */
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
	const [were, are] = [byCluster(before), byCluster(now)];
	let taken: ReadonlySet<string> | null = null;
	const bridge = new Map<string, readonly Leaving[]>();
	for (const cluster of now.clusters) {
		const timeoutMs = checkTimeoutMs(cluster);
		const name = String(cluster.name);
		if (timeoutMs === null) continue;
		const waits = (waiting.get(name) ?? []).filter(({ untilMs }) => untilMs > nowMs);
		const fresh = hostsOf(are.get(name));
		if (fresh.length === 0) continue;
		const old = hostsOf(were.get(name));
		const [stay, known] = [keysOf(fresh), keysOf([...old, ...waits])];
		const isChecked = fresh.every(({ key }) => known.has(key));
		const gone = isChecked ? [] : old.filter(({ key }) => !stay.has(key));
		if (gone.length + waits.length === 0) continue;
		taken ??= keysOf([...are.values(), ...inline(now)].flatMap(hostsOf));
		const regions = new Set(fresh.map(({ locality }) => locality.region ?? ""));
		// Where a DataClass holds every endpoint has a region.
		const mayWait = ({ key, locality }: Host): boolean =>
			taken?.has(key) !== true && (regions.has("") || regions.has(locality.region ?? ""));
		const leaving = [...gone.map((one) => ({ ...one, untilMs: nowMs + timeoutMs })), ...waits].filter(mayWait);
		if (leaving.length > 0) bridge.set(name, leaving.slice(0, ENDPOINTS_MAX));
	}
	return bridge;
}

/** The same with what waits. */
export function bridged(published: Published, bridge: Bridge): Published {
	if (bridge.size === 0) return published;
	const over = (envoy: EnvoyResources): EnvoyResources => ({
		...envoy,
		endpoints: envoy.endpoints.map((one) => withHosts(one, bridge.get(String(one.cluster_name)) ?? [])),
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
	const ends = [...bridge.values()].flat().map(({ untilMs }) => untilMs);
	return ends.length === 0 ? null : ends.reduce((least, one) => Math.min(least, one));
}

interface Locality {
	readonly locality: Readonly<Record<string, string>>;
	readonly lb_endpoints: readonly object[];
}

const localitiesOf = (endpoints: EnvoyResource): readonly Locality[] => endpoints.endpoints as readonly Locality[];

/** Of clusters with a DNS name among their endpoints. */
const inline = ({ clusters }: EnvoyResources): readonly EnvoyResource[] =>
	clusters.flatMap(({ load_assignment }) => (load_assignment === undefined ? [] : [load_assignment as EnvoyResource]));

const byCluster = ({ endpoints }: EnvoyResources): ReadonlyMap<string, EnvoyResource> =>
	new Map(endpoints.map((one) => [String(one.cluster_name), one]));

function hostsOf(endpoints: EnvoyResource | undefined): readonly Host[] {
	if (endpoints === undefined) return [];
	return localitiesOf(endpoints).flatMap(({ locality, lb_endpoints }) =>
		lb_endpoints.map((lbEndpoint) => ({ locality, lbEndpoint, key: JSON.stringify(lbEndpoint) })),
	);
}

const keysOf = (hosts: readonly Host[]): ReadonlySet<string> => new Set(hosts.map(({ key }) => key));

/** An empty set is one: what may not be used any more is not kept from going by those that wait. */
function withHosts(endpoints: EnvoyResource, hosts: readonly Host[]): EnvoyResource {
	if (hosts.length === 0 || localitiesOf(endpoints).length === 0) return endpoints;
	const groups = new Map(
		localitiesOf(endpoints).map((one) => [
			JSON.stringify(one.locality),
			{ ...one, lb_endpoints: [...one.lb_endpoints] },
		]),
	);
	for (const { locality, lbEndpoint } of hosts) {
		const key = JSON.stringify(locality);
		const group = groups.get(key) ?? { locality, lb_endpoints: [] };
		group.lb_endpoints.push(lbEndpoint);
		groups.set(key, group);
	}
	return { ...endpoints, endpoints: [...groups.values()] };
}

/** null = Envoy checks none. */
function checkTimeoutMs({ health_checks: checks }: EnvoyResource): number | null {
	const [check] = (checks ?? []) as readonly { readonly timeout: string }[];
	return check === undefined ? null : millisecondsOf(check.timeout);
}
