/**
 * What of the endpoints that left stays at one client for a while, and until when: by what this very client has
 * acknowledged, so that one that is slow, or was away, loses nothing. Pure, one per stream.
 *
 * Where Envoy checks health, new endpoints serve nobody before their first check. So those that they replace stay until a new
 * one has been known there for a check's timeout; not in a region where no new one is (a DataClass may forbid it). The last
 * endpoints of a cluster, removed or not, stay until the routes have left it, and XDS_LEAVING_MS at most: the routes may wait for
 * others' clusters. None stays where a DataClass forbids its region, whoever places it there or its own Service did last, nor one that
 * is another cluster's: it would serve people of both.
 */
import { ENDPOINTS_MAX, HEALTH_CHECK_TIMEOUT_MS_MAX, XDS_CHECKED_TOGETHER_MS, XDS_LEAVING_MS } from "../limits.js";
import { lastWord } from "./placings.js";
import { contentHash, type EncodedResource, withHosts } from "./resource.js";
import type { Snapshot, View } from "./snapshot.js";

/** Since when a client knows the endpoints of a cluster. */
interface Known {
	/** All but those that came later. */
	readonly sinceMs: number;
	readonly later: ReadonlyMap<string, number>;
	/** Of both the latest. */
	readonly youngestMs: number;
}

interface Leaving {
	/** What is published instead; undefined = nothing. */
	readonly of: EncodedResource | undefined;
	/** What the client should have for now. */
	readonly made: EncodedResource;
	/** Until when each may stay; nothing that comes later lengthens it. Infinity: until the client knows what it waits for. */
	readonly untilMs: ReadonlyMap<string, number>;
	/** Since when each leaves, of those that are replaced. */
	readonly leftMs: ReadonlyMap<string, number>;
	/** The cluster has others: what waits keeps nothing from being complete. */
	readonly replaced: boolean;
}

/** What says whose an endpoint is, and where it may serve. */
type Published = Pick<Snapshot, "views" | "bound" | "places" | "left">;

/** Whether a route table that the client may hold names a cluster. */
type InUse = (name: string) => boolean;

export class LeavingEndpoints {
	#seen: View = new Map();
	#noted: Snapshot | null = null;
	/** Some wait for routes, of which nothing is known here. */
	#hasLast = false;
	readonly #known = new Map<string, Known>();
	#leaving: ReadonlyMap<string, Leaving> = new Map();
	#endsMs: number | null = null;
	#published: { readonly of: View; readonly view: View; readonly version: string } | null = null;

	/**
	 * To be called whenever the client has said something, something is published, and at `endsMs`.
	 * @param accepted endpoints that the client has acknowledged
	 */
	note(accepted: View, inUse: () => InUse, target: Snapshot, nowMs: number): void {
		const isSame = accepted === this.#seen && target === this.#noted;
		if (isSame && !this.#hasLast && nowMs < (this.#endsMs ?? Number.POSITIVE_INFINITY)) return;
		this.#learn(accepted, target, nowMs);
		this.#noted = target;
		const { endpoints } = target.views;
		const changed = [...accepted.values()].filter(
			({ name, hash, hosts }) => hosts.length > 0 && endpoints.get(name)?.hash !== hash,
		);
		const last = changed.filter(({ name }) => !hasHosts(endpoints.get(name)));
		this.#hasLast = last.length > 0;
		const waits = last.length === 0 ? (): null => null : waiting(inUse(), target);
		this.#leaving = new Map(
			changed.flatMap((held) => {
				const published = endpoints.get(held.name);
				const one = hasHosts(published)
					? this.#replaced(held, published, target, nowMs)
					: this.#last(held, published, waits(held.name), target, nowMs);
				return one === null ? [] : [[held.name, one]];
			}),
		);
		const ends = [...this.#leaving.values()].flatMap(({ untilMs }) => [...untilMs.values()]);
		const next = ends.reduce((least, one) => (one > nowMs && one < least ? one : least), Number.POSITIVE_INFINITY);
		this.#endsMs = Number.isFinite(next) ? next : null;
		this.#published = null;
	}

	/** When something has waited long enough; null = nothing waits, or for the client's answer. */
	get endsMs(): number | null {
		return this.#endsMs;
	}

	/** What the client should have instead of what is published, or of what it has. */
	get instead(): View {
		return new Map([...this.#leaving].map(([name, { made }]) => [name, made]));
	}

	/** What is published, for this client: with those that wait for their successors' check. */
	published({ views, versions }: Snapshot): { readonly view: View; readonly version: string } {
		const { endpoints } = views;
		if (this.#published?.of === endpoints) return this.#published;
		// What was noted of a publication before says nothing of this one.
		const over = [...this.#leaving].flatMap(([name, { of, made, replaced }]) =>
			replaced && made !== of && of === endpoints.get(name) ? [made] : [],
		);
		if (over.length === 0) return { view: endpoints, version: versions.endpoints };
		this.#published = {
			of: endpoints,
			view: new Map([...endpoints, ...over.map((made) => [made.name, made] as const)]),
			version: contentHash([versions.endpoints, ...over.map(({ hash }) => hash).sort()].join("\n")),
		};
		return this.#published;
	}

	#learn(accepted: View, { views }: Snapshot, nowMs: number): void {
		for (const [name, { youngestMs }] of this.#known) {
			if (nowMs >= youngestMs + HEALTH_CHECK_TIMEOUT_MS_MAX + XDS_CHECKED_TOGETHER_MS) this.#known.delete(name);
		}
		if (accepted === this.#seen) return;
		for (const [name, held] of accepted) {
			const before = this.#seen.get(name);
			if (before?.hash === held.hash || !isChecked(views.clusters.get(name))) continue;
			this.#known.set(name, learned(this.#known.get(name), before, held, nowMs));
		}
		this.#seen = accepted;
	}

	/** Since when the client knows an endpoint that it has. */
	#knownMs(name: string, host: string): number {
		const known = this.#known.get(name);
		return known?.later.get(host) ?? known?.sinceMs ?? Number.NEGATIVE_INFINITY;
	}

	/** null = none stays: nobody checks, or all that are published are checked. */
	#replaced(held: EncodedResource, published: EncodedResource, target: Snapshot, nowMs: number): Leaving | null {
		const { name } = held;
		const timeoutMs = target.views.clusters.get(name)?.checkTimeoutMs ?? null;
		if (timeoutMs === null) return null;
		const [has, fresh] = [new Set(held.hosts), new Set(published.hosts)];
		const unchecked = published.hosts
			.map((host) => (has.has(host) ? checkedMs(this.#knownMs(name, host), timeoutMs) : Number.POSITIVE_INFINITY))
			.filter((ms) => ms > nowMs);
		if (unchecked.length === 0) return null;
		const firstMs = unchecked.reduce((least, one) => Math.min(least, one));
		const times = [...new Set(held.hosts.map((host) => this.#knownMs(name, host)))].sort((a, b) => a - b);
		const before = this.#leaving.get(name);
		const regions = new Set(published.regions);
		// One that is placed elsewhere by now was known here by the region that it had.
		const mayServe = within(held, target);
		const [untilMs, leftMs] = [new Map<string, number>(), new Map<string, number>()];
		for (const [at, host] of held.hosts.entries()) {
			// Where a DataClass holds every endpoint has a region.
			const near = regions.has("") || regions.has(held.regions[at] ?? "");
			if (fresh.has(host) || !near || !mayServe(host, at) || isAnothers(host, name, target)) continue;
			if (untilMs.size === ENDPOINTS_MAX) break;
			// What has come since is a successor, though it may be leaving too; what stood beside it may be ill.
			const sinceMs = before?.leftMs.get(host) ?? nowMs;
			const nextMs = times.find((ms) => ms > sinceMs) ?? Number.POSITIVE_INFINITY;
			const endMs = Math.min(firstMs, checkedMs(nextMs, timeoutMs));
			leftMs.set(host, sinceMs);
			untilMs.set(host, Math.min(before?.untilMs.get(host) ?? Number.POSITIVE_INFINITY, endMs));
		}
		const stays = new Set([...untilMs].flatMap(([host, ms]) => (ms > nowMs ? [host] : [])));
		return { of: published, made: withHosts(published, held, stays), untilMs, leftMs, replaced: true };
	}

	/** @param waits null = the cluster itself is about to go, and may be told of until then: of none that is forbidden */
	#last(
		held: EncodedResource,
		published: EncodedResource | undefined,
		waits: Waits | null,
		target: Snapshot,
		nowMs: number,
	): Leaving | null {
		const { name, hosts } = held;
		const mayServe = within(held, target);
		if (waits === null) {
			const allowed = hosts.filter(mayServe);
			if (allowed.length === hosts.length) return null;
			const made = withHosts(published, held, new Set(allowed));
			return { of: published, made, untilMs: NONE, leftMs: NONE, replaced: false };
		}
		const before = this.#leaving.get(name);
		const [knownMs] = before?.replaced === false ? before.untilMs.values() : [];
		const inline = new Set(target.views.clusters.get(name)?.hosts);
		const isBare = waits === "for the cluster" && !hosts.some((host) => inline.has(host));
		const endMs = isBare
			? Number.POSITIVE_INFINITY
			: Math.min(knownMs ?? Number.POSITIVE_INFINITY, nowMs + XDS_LEAVING_MS);
		// A Variant that has another name now serves nobody but its own Service's people.
		const service = published === undefined ? held.source : null;
		const mayStay = (host: string, at: number): boolean =>
			mayServe(host, at) && !isAnothers(host, name, target, service);
		const stays = hosts.filter(
			(host, at) => inline.has(host) || (waits !== "no" && endMs > nowMs && mayStay(host, at)),
		);
		const untilMs = new Map(hosts.map((host) => [host, endMs]));
		const made = withHosts(published, held, new Set(stays));
		return { of: published, made, untilMs, leftMs: NONE, replaced: false };
	}
}

/**
 * Whether a DataClass lets an endpoint serve: by where it was when the client was told of it, by where anybody places it now, and by the
 * last word of its own Service, which may have placed it elsewhere since.
 */
function within({ source, regions }: EncodedResource, { bound, places, left }: Published) {
	const service = source.replace(/^Service /, "");
	const allowed = bound.get(service);
	if (allowed === null) return () => true;
	return (host: string, at: number): boolean => {
		const was = regions[at] ?? "";
		// Of a Service that went too long ago nobody knows by what it was bound: what stands where it stood was allowed.
		const isAllowed = (region: string): boolean => allowed?.includes(region) ?? region === was;
		return [was, ...(places.get(host) ?? []), ...lastWord(left, service, host)].every(isAllowed);
	};
}

/** The same of all that stand in a cluster itself, by DNS names: of a part of it there is no other. */
export const allWithin = (cluster: EncodedResource, target: Snapshot): boolean =>
	cluster.hosts.every(within(cluster, target));

/** Of endpoints that a cluster had, those that may serve there still. */
export function stillServing(had: EncodedResource, target: Published): EncodedResource {
	const mayServe = within(had, target);
	const stays = had.hosts.filter((host, at) => mayServe(host, at) && !isAnothers(host, had.name, target));
	if (stays.length === had.hosts.length) return had;
	return withHosts(undefined, had, new Set(stays));
}

/** Ends that are near each other are one. */
const checkedMs = (sinceMs: number, timeoutMs: number): number =>
	Math.ceil((sinceMs + timeoutMs) / XDS_CHECKED_TOGETHER_MS) * XDS_CHECKED_TOGETHER_MS;

const hasHosts = (resource: EncodedResource | undefined): resource is EncodedResource =>
	resource !== undefined && resource.hosts.length > 0;

/** For what the last endpoints of a cluster wait. */
type Waits = "for the routes" | "for the cluster" | "no";

/** null = the client has no use for it any more, and the cluster goes too. */
function waiting(inUse: InUse, { views }: Snapshot): (name: string) => Waits | null {
	const named = new Set([...views.routes.values()].flatMap(({ clusters }) => clusters));
	return (name) => {
		if (!views.clusters.has(name)) return inUse(name) ? "for the routes" : null;
		// It has a DNS name now, and the client this until that is known.
		if (!views.endpoints.has(name)) return "for the cluster";
		return inUse(name) && !named.has(name) ? "for the routes" : "no";
	};
}

const isChecked = (cluster: EncodedResource | undefined): boolean => (cluster?.checkTimeoutMs ?? null) !== null;

/** By endpoint, of what is published: its cluster; null = it has several. Made once a publication. */
const owners = new WeakMap<View, ReadonlyMap<string, string | null>>();

/** @param service whose other clusters may have it; null = none may */
function isAnothers(host: string, cluster: string, { views }: Published, service: string | null = null): boolean {
	const known = owners.get(views.endpoints) ?? ownersIn(views);
	owners.set(views.endpoints, known);
	const owner = known.get(host);
	if (owner === undefined || owner === cluster) return false;
	return owner === null || service === null || views.clusters.get(owner)?.source !== service;
}

function ownersIn({ clusters, endpoints }: Snapshot["views"]): ReadonlyMap<string, string | null> {
	const found = new Map<string, string | null>();
	for (const { name, hosts } of [...endpoints.values(), ...clusters.values()]) {
		for (const host of hosts) found.set(host, found.has(host) && found.get(host) !== name ? null : name);
	}
	return found;
}

const NONE: ReadonlyMap<string, number> = new Map();

/**
 * @param before what the client had of the cluster until now; undefined = it comes with this, since when nobody knows
 */
function learned(
	known: Known | undefined,
	before: EncodedResource | undefined,
	held: EncodedResource,
	nowMs: number,
): Known {
	if (before === undefined) return { sinceMs: nowMs, later: NONE, youngestMs: nowMs };
	const had = new Set(before.hosts);
	const later = new Map(
		held.hosts.flatMap((host) => {
			const sinceMs = had.has(host) ? known?.later.get(host) : nowMs;
			return sinceMs === undefined ? [] : [[host, sinceMs] as const];
		}),
	);
	const youngestMs = [...later.values()].reduce((most, one) => Math.max(most, one), known?.sinceMs ?? 0);
	return { sinceMs: known?.sinceMs ?? Number.NEGATIVE_INFINITY, later, youngestMs };
}
