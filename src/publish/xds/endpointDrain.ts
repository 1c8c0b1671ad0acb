/**
 * Keeps removed endpoints on one client while it needs them. Tracked per client, because clients acknowledge at
 * different times. Pure, one per stream.
 *
 * With health checks a new endpoint gets no request before its first check. So removed endpoints stay until the
 * client has held their replacements for one check timeout. The last endpoints of a cluster stay until the client's
 * routes no longer use it, at most XDS_LEAVING_MS. Endpoints of a Service with a DataClass, or now in another
 * cluster, are removed at once.
 */
import { XDS_ACK_TIMEOUT_MS, XDS_LEAVING_MS } from "../../limits/index.js";
import { contentHash, type EncodedResource, emptyEndpoints, withHosts } from "./resource.js";
import type { Snapshot, View } from "./snapshot.js";

interface Leaving {
	/** What the client should hold for now. */
	readonly made: EncodedResource;
	/** End of each endpoint's stay; later changes never extend it. */
	readonly untilMs: ReadonlyMap<string, number>;
	/** The published replacement; null = these are the cluster's last endpoints. */
	readonly replacedBy: EncodedResource | null;
}

/** Whether a route table that the client may hold names a cluster. */
type InUse = (name: string) => boolean;

export class EndpointDrain {
	#seen: View = new Map();
	#noted: Snapshot | null = null;
	/** When the client acknowledged the newest endpoint of each cluster. */
	readonly #newestMs = new Map<string, number>();
	#drain: ReadonlyMap<string, Leaving> = new Map();
	#endsMs: number | null = null;
	#published: { readonly of: View; readonly view: View; readonly version: string } | null = null;

	/**
	 * Call it after each request, after a publication, and at `endsMs`.
	 * @param accepted endpoints that the client has acknowledged
	 */
	note(accepted: View, inUse: () => InUse, target: Snapshot, nowMs: number): void {
		const isSame = accepted === this.#seen && target === this.#noted;
		const waitsForRoutes = [...this.#drain.values()].some(({ replacedBy }) => replacedBy === null);
		if (isSame && !waitsForRoutes && nowMs < (this.#endsMs ?? Number.POSITIVE_INFINITY)) return;
		this.#learn(accepted, nowMs);
		this.#noted = target;
		const { endpoints } = target.views;
		const changed = [...accepted.values()].filter(
			({ name, hash, hosts }) => hosts.length > 0 && endpoints.get(name)?.hash !== hash,
		);
		const uses = changed.some(({ name }) => !hasHosts(endpoints.get(name))) ? inUse() : () => false;
		const leaving = changed.flatMap((held) => {
			const published = endpoints.get(held.name);
			const one = hasHosts(published)
				? this.#replaced(held, published, target, nowMs)
				: this.#last(held, published, uses(held.name), target, nowMs);
			return one === null ? [] : [[held.name, one] as const];
		});
		this.#drain = new Map(leaving);
		this.#published = null;
		const ends = leaving.flatMap(([, { untilMs }]) => [...untilMs.values()]).filter((ms) => ms > nowMs);
		this.#endsMs = ends.length === 0 ? null : ends.reduce((least, one) => Math.min(least, one));
	}

	/** When the next endpoint is removed; null = none waits. */
	get endsMs(): number | null {
		return this.#endsMs;
	}

	/** Endpoints that replace the published ones, or those that the client holds. */
	get instead(): View {
		return new Map([...this.#drain].map(([name, { made }]) => [name, made]));
	}

	/** Published endpoints for this client, with those that wait for their replacements' check. */
	published({ views, versions }: Snapshot): { readonly view: View; readonly version: string } {
		const { endpoints } = views;
		if (this.#published?.of === endpoints) return this.#published;
		const kept = [...this.#drain.values()].flatMap(({ made, replacedBy }) =>
			replacedBy !== null && made !== replacedBy && endpoints.get(made.name) === replacedBy ? [made] : [],
		);
		if (kept.length === 0) return { view: endpoints, version: versions.endpoints };
		this.#published = {
			of: endpoints,
			view: new Map([...endpoints, ...kept.map((made) => [made.name, made] as const)]),
			version: contentHash([versions.endpoints, ...kept.map(({ hash }) => hash).sort()].join("\n")),
		};
		return this.#published;
	}

	#learn(accepted: View, nowMs: number): void {
		if (accepted === this.#seen) return;
		for (const name of this.#newestMs.keys()) if (!accepted.has(name)) this.#newestMs.delete(name);
		for (const [name, { hash, hosts }] of accepted) {
			const before = this.#seen.get(name);
			if (before?.hash === hash) continue;
			const had = new Set(before?.hosts);
			if (hosts.some((host) => !had.has(host))) this.#newestMs.set(name, nowMs);
		}
		this.#seen = accepted;
	}

	#replaced(held: EncodedResource, published: EncodedResource, target: Snapshot, nowMs: number): Leaving | null {
		const { name } = held;
		const timeoutMs = target.views.clusters.get(name)?.checkTimeoutMs ?? null;
		if (timeoutMs === null || isBound(held, target)) return null;
		const [had, fresh, elsewhere] = [new Set(held.hosts), new Set(published.hosts), hostsIn(target.views.endpoints)];
		const isKnown = published.hosts.every((host) => had.has(host));
		const endMs = isKnown ? (this.#newestMs.get(name) ?? nowMs) + timeoutMs : nowMs + XDS_ACK_TIMEOUT_MS;
		const before = this.#drain.get(name)?.untilMs;
		const untilMs = new Map(
			held.hosts
				.filter((host) => !fresh.has(host) && !elsewhere.has(host))
				.map((host) => [host, Math.min(before?.get(host) ?? endMs, endMs)]),
		);
		const stays = new Set([...untilMs].flatMap(([host, ms]) => (ms > nowMs ? [host] : [])));
		return { made: withHosts(published, held, stays), untilMs, replacedBy: published };
	}

	/** null = nothing to keep. Unpublished endpoints are removed with their cluster. */
	#last(
		held: EncodedResource,
		published: EncodedResource | undefined,
		isUsed: boolean,
		target: Snapshot,
		nowMs: number,
	): Leaving | null {
		const { name } = held;
		if (isBound(held, target)) return { made: published ?? emptyEndpoints(name), untilMs: new Map(), replacedBy: null };
		const isDeclared = target.views.clusters.has(name);
		// The cluster has a DNS name now. Its endpoints stay until the client has accepted that.
		if (isDeclared && published === undefined) return null;
		if (!isUsed || (isDeclared && clustersIn(target.views.routes).has(name))) return null;
		const before = this.#drain.get(name);
		const [startedMs] = before?.replacedBy === null ? before.untilMs.values() : [];
		const endMs = startedMs ?? nowMs + XDS_LEAVING_MS;
		const made = endMs > nowMs ? held : (published ?? emptyEndpoints(name));
		return { made, untilMs: new Map([["", endMs]]), replacedBy: null };
	}
}

/** Whether the resource belongs to a Service with a DataClass. */
export const isBound = ({ source }: EncodedResource, { bound }: Pick<Snapshot, "bound">): boolean => bound.has(source);

const hasHosts = (resource: EncodedResource | undefined): resource is EncodedResource =>
	resource !== undefined && resource.hosts.length > 0;

/** Cached per publication. */
function ofView(make: (resource: EncodedResource) => readonly string[]): (view: View) => ReadonlySet<string> {
	const known = new WeakMap<View, ReadonlySet<string>>();
	return (view) => {
		const made = known.get(view) ?? new Set([...view.values()].flatMap(make));
		known.set(view, made);
		return made;
	};
}

const hostsIn = ofView(({ hosts }) => hosts);
const clustersIn = ofView(({ clusters }) => clusters);
