/**
 * Keeps removed endpoints on one client while it needs them. Tracked per client, because clients acknowledge at different times.
 * Pure, one per stream.
 *
 * Where Envoy checks health, a new endpoint serves nobody before its first check. So removed endpoints stay until the client has
 * known their replacements for one check's timeout. The last endpoints of a cluster stay until the client's routes have left it, at
 * most XDS_LEAVING_MS. Endpoints of a Service with a DataClass leave at once, and so do those that another cluster has now.
 */
import { XDS_ACK_TIMEOUT_MS, XDS_LEAVING_MS } from "../../limits/index.js";
import { contentHash, type EncodedResource, noEndpoints, withHosts } from "./resource.js";
import type { Snapshot, View } from "./snapshot.js";

interface Leaving {
	/** What the client should have for now. */
	readonly made: EncodedResource;
	/** Until when each endpoint stays; later changes never lengthen it. */
	readonly untilMs: ReadonlyMap<string, number>;
	/** What is published instead; null = these are the last endpoints of the cluster. */
	readonly replacedBy: EncodedResource | null;
}

/** Whether a route table that the client may hold names a cluster. */
type InUse = (name: string) => boolean;

export class LeavingEndpoints {
	#seen: View = new Map();
	#noted: Snapshot | null = null;
	/** When the client acknowledged the youngest endpoint of each cluster. */
	readonly #youngestMs = new Map<string, number>();
	#leaving: ReadonlyMap<string, Leaving> = new Map();
	#endsMs: number | null = null;
	#published: { readonly of: View; readonly view: View; readonly version: string } | null = null;

	/**
	 * Call it after each request, after a publication, and at `endsMs`.
	 * @param accepted endpoints that the client has acknowledged
	 */
	note(accepted: View, inUse: () => InUse, target: Snapshot, nowMs: number): void {
		const isSame = accepted === this.#seen && target === this.#noted;
		const waitsForRoutes = [...this.#leaving.values()].some(({ replacedBy }) => replacedBy === null);
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
		this.#leaving = new Map(leaving);
		this.#published = null;
		const ends = leaving.flatMap(([, { untilMs }]) => [...untilMs.values()]).filter((ms) => ms > nowMs);
		this.#endsMs = ends.length === 0 ? null : ends.reduce((least, one) => Math.min(least, one));
	}

	/** When an endpoint has waited long enough; null = none waits. */
	get endsMs(): number | null {
		return this.#endsMs;
	}

	/** What the client should have instead of what is published, or of what it has. */
	get instead(): View {
		return new Map([...this.#leaving].map(([name, { made }]) => [name, made]));
	}

	/** What is published for this client: with the endpoints that wait for their replacements' check. */
	published({ views, versions }: Snapshot): { readonly view: View; readonly version: string } {
		const { endpoints } = views;
		if (this.#published?.of === endpoints) return this.#published;
		const kept = [...this.#leaving.values()].flatMap(({ made, replacedBy }) =>
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
		for (const name of this.#youngestMs.keys()) if (!accepted.has(name)) this.#youngestMs.delete(name);
		for (const [name, { hash, hosts }] of accepted) {
			const before = this.#seen.get(name);
			if (before?.hash === hash) continue;
			const had = new Set(before?.hosts);
			if (hosts.some((host) => !had.has(host))) this.#youngestMs.set(name, nowMs);
		}
		this.#seen = accepted;
	}

	#replaced(held: EncodedResource, published: EncodedResource, target: Snapshot, nowMs: number): Leaving | null {
		const { name } = held;
		const timeoutMs = target.views.clusters.get(name)?.checkTimeoutMs ?? null;
		if (timeoutMs === null || isBound(held, target)) return null;
		const [had, fresh, elsewhere] = [new Set(held.hosts), new Set(published.hosts), hostsIn(target.views.endpoints)];
		const isKnown = published.hosts.every((host) => had.has(host));
		const endMs = isKnown ? (this.#youngestMs.get(name) ?? nowMs) + timeoutMs : nowMs + XDS_ACK_TIMEOUT_MS;
		const before = this.#leaving.get(name)?.untilMs;
		const untilMs = new Map(
			held.hosts
				.filter((host) => !fresh.has(host) && !elsewhere.has(host))
				.map((host) => [host, Math.min(before?.get(host) ?? endMs, endMs)]),
		);
		const stays = new Set([...untilMs].flatMap(([host, ms]) => (ms > nowMs ? [host] : [])));
		return { made: withHosts(published, held, stays), untilMs, replacedBy: published };
	}

	/** null = the client should have what is published; where nothing is, what it has goes with its cluster. */
	#last(
		held: EncodedResource,
		published: EncodedResource | undefined,
		isUsed: boolean,
		target: Snapshot,
		nowMs: number,
	): Leaving | null {
		const { name } = held;
		if (isBound(held, target)) return { made: published ?? noEndpoints(name), untilMs: new Map(), replacedBy: null };
		const isDeclared = target.views.clusters.has(name);
		// It has a DNS name now, and keeps these until the client has taken that.
		if (isDeclared && published === undefined) return null;
		if (!isUsed || (isDeclared && clustersIn(target.views.routes).has(name))) return null;
		const before = this.#leaving.get(name);
		const [startedMs] = before?.replacedBy === null ? before.untilMs.values() : [];
		const endMs = startedMs ?? nowMs + XDS_LEAVING_MS;
		const made = endMs > nowMs ? held : (published ?? noEndpoints(name));
		return { made, untilMs: new Map([["", endMs]]), replacedBy: null };
	}
}

/** Whether it is of a Service with a DataClass. */
export const isBound = ({ source }: EncodedResource, { bound }: Pick<Snapshot, "bound">): boolean => bound.has(source);

const hasHosts = (resource: EncodedResource | undefined): resource is EncodedResource =>
	resource !== undefined && resource.hosts.length > 0;

/** Made once for each publication. */
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
