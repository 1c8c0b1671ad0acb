/**
 * The built-in probe of Envoys of other machines: a watch for each that is connected, or that its keeper attends for, or of which
 * something is remembered. One that stays away is forgotten in the end.
 */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { EnvoyReach } from "../../access/bypass/reach.js";
import { WeirError } from "../../error.js";
import {
	ATTENDANCE_COMES_MS,
	ATTENDANCE_PATIENCE_MS,
	ATTENDANCE_ROUND_MS,
	REMOTE_ENVOY_FORGOTTEN_MS,
	REMOTE_STALE_MS,
	XDS_CLIENT_AWAY_MS,
} from "../../limits.js";
import { MemoryShelf } from "../../probe/memoryShelf.js";
import type { GatewayAlarm } from "../../state/api/wire.js";
import { envoysOf, peerOf } from "../../xds/peer.js";
import type { XdsServer } from "../../xds/server.js";
import { type Watch, type WatchOptions, watchForBypass } from "./probe.js";
import type { Declared } from "./probedPlans.js";
import type { ProbeReport } from "./probeReport.js";

export interface RemoteWatchesOptions extends Pick<WatchOptions, "log" | "meter" | "planOf" | "intervalMs"> {
	readonly server: Pick<XdsServer, "remotePeers" | "servedBy" | "mayBeClosed"> & {
		readonly attendances: Pick<XdsServer["attendances"], "ids" | "awaited" | "page" | "probe">;
	};
	/** Qualified names of the Gateways of an Envoy's id; null = all. */
	readonly gatewaysOf: (id: string) => readonly string[] | null;
	/** Ids that Gateways are given to. */
	readonly ids: Iterable<string>;
	/** Where what is known of each outlives the process. */
	readonly directory: string;
	readonly nowMs?: () => number;
	/** How long a round may take; left out = ATTENDANCE_ROUND_MS. */
	readonly patienceMs?: number;
}

interface Watched {
	readonly name: string;
	readonly watch: Watch;
	readonly memory: MemoryShelf;
	/** When it, or its keeper, was connected last. */
	seenMs: number;
	/** When its keeper was gone, though it was not, and has answered nothing since; null = it has, or both are gone. */
	unansweredSinceMs: number | null;
	/** Since when there are several of its id; null = there are not. */
	sharedSinceMs: number | null;
}

export class RemoteWatches {
	readonly #options: RemoteWatchesOptions;
	readonly #nowMs: () => number;
	readonly #watched = new Map<string, Watched>();
	/** Of all that was published: the first one's former, and the last one. */
	#declared: Declared | null = null;

	constructor(options: RemoteWatchesOptions) {
		this.#options = options;
		this.#nowMs = options.nowMs ?? Date.now;
		try {
			mkdirSync(options.directory, { recursive: true, mode: 0o700 });
		} catch (error) {
			// Each round tells of it, for then nothing can be written there.
			options.log.warn("what the built-in probe knows of Envoys of other machines cannot be kept", {
				why: WeirError.from(error).message,
			});
		}
		for (const id of options.ids) if (MemoryShelf.holds(this.#fileOf(id))) this.#watch(id);
	}

	published(declared: Declared): void {
		const { former = this.#declared?.former ?? null, ...newest } = declared;
		this.#declared = { ...newest, former };
		this.look();
		for (const { watch } of this.#watched.values()) watch.published(declared);
	}

	/** To be called when somebody comes or goes at xDS, and every now and then: it is known since when one is away. */
	look(): void {
		const now = this.#nowMs();
		const here = this.#here();
		for (const id of here) {
			this.#watch(id);
			const watched = this.#watched.get(id);
			if (watched !== undefined) watched.seenMs = now;
		}
		const attended = new Set(this.#options.server.attendances.ids);
		for (const [id, watched] of this.#watched) {
			// Whoever says hello has answered nothing yet.
			if (here.has(id) && !attended.has(id)) watched.unansweredSinceMs ??= now;
			// xDS opens each connection anew now and then: that is no new Envoy.
			else if (now - watched.seenMs > XDS_CLIENT_AWAY_MS) watched.unansweredSinceMs = null;
			watched.sharedSinceMs = this.#envoys(id) > 1 ? (watched.sharedSinceMs ?? now) : null;
		}
		for (const [id, { seenMs }] of this.#watched)
			if (now - seenMs > REMOTE_ENVOY_FORGOTTEN_MS && this.#isAway(id)) this.#forget(id);
	}

	/** A keeper has come, or gone. */
	attendance(id: string): void {
		this.look();
		this.#watched.get(id)?.watch.look();
	}

	/** Whether the watch of one of them tells of that Gateway. */
	tells(gateway: string): boolean {
		return [...this.#watched.keys()].some((id) => this.#isOwn(id, gateway));
	}

	/** As Watch.recent, of each. */
	recent(): Promise<readonly { readonly envoy: string; readonly report: ProbeReport | null }[]> {
		return Promise.all(
			[...this.#watched.values()].map(async ({ name, watch }) => ({ envoy: name, report: await watch.recent() })),
		);
	}

	/** As Watch.standing, of all. */
	standing(): readonly GatewayAlarm[] {
		return [...this.#watched.values()].flatMap(({ watch }) => watch.standing());
	}

	async close(): Promise<void> {
		for (const { watch } of this.#watched.values()) watch.close();
		await Promise.all([...this.#watched.values()].map(({ memory }) => memory.close()));
	}

	#here(): ReadonlySet<string> {
		const { server } = this.#options;
		const peers = server.remotePeers().flatMap(({ kind, id }) => (kind === "envoy" ? [id] : []));
		return new Set([...peers, ...server.attendances.ids]);
	}

	#isAway(id: string): boolean {
		return !this.#here().has(id);
	}

	#answered(id: string): void {
		const watched = this.#watched.get(id);
		if (watched === undefined) return;
		const isGone = ![...this.#options.server.attendances.ids].includes(id);
		watched.unansweredSinceMs = isGone ? this.#nowMs() : null;
	}

	#envoys(id: string): number {
		return envoysOf(this.#options.server.remotePeers().filter((peer) => peer.id === id));
	}

	#isOwn(id: string, gateway: string): boolean {
		return this.#options.gatewaysOf(id)?.includes(gateway) ?? true;
	}

	/** Its name may be longer than a file's. */
	#fileOf(id: string): string {
		return join(this.#options.directory, createHash("sha256").update(id).digest("hex"));
	}

	#watch(id: string): void {
		const peer = peerOf(id);
		if (this.#watched.has(id) || peer?.kind !== "envoy") return;
		const { name } = peer;
		const { log, meter, planOf, intervalMs, server } = this.#options;
		const memory = new MemoryShelf(
			this.#fileOf(id),
			(why) => log.warn("what the built-in probe knows cannot be written or read on disk", { why, envoy: name }),
			() => watch.look(),
		);
		const watch: Watch = watchForBypass({
			...{ log, meter, planOf, memory },
			...(intervalMs === undefined ? {} : { intervalMs }),
			reach: this.#reach(id),
			connected: () => this.#envoys(id) > 0,
			served: () => server.servedBy(id),
			closed: () => server.mayBeClosed(),
			remote: {
				name,
				isOwn: (gateway) => this.#isOwn(id, gateway),
				awaited: () => server.attendances.awaited(id, ATTENDANCE_PATIENCE_MS),
				isAway: () => this.#isAway(id),
				patienceMs: this.#options.patienceMs ?? ATTENDANCE_ROUND_MS,
				answered: () => this.#answered(id),
				mayStillCome: () =>
					this.#nowMs() - (this.#watched.get(id)?.unansweredSinceMs ?? -Infinity) < ATTENDANCE_COMES_MS,
				isShared: () => this.#nowMs() - (this.#watched.get(id)?.sharedSinceMs ?? Infinity) > REMOTE_STALE_MS,
			},
		});
		this.#watched.set(id, { name, watch, memory, seenMs: this.#nowMs(), unansweredSinceMs: null, sharedSinceMs: null });
		if (this.#declared !== null) watch.published(this.#declared);
	}

	#reach(id: string): EnvoyReach {
		const { attendances } = this.#options.server;
		return {
			admin: { page: (page, take) => attendances.page(id, page, take) },
			// By its own Envoy's identity.
			meshless: null,
			through: (way) => (host, guard) => attendances.probe(id, { way, host, guard }),
		};
	}

	#forget(id: string): void {
		const watched = this.#watched.get(id);
		if (watched === undefined) return;
		const { name, watch, memory } = watched;
		this.#watched.delete(id);
		watch.close();
		watch.forget();
		const { log } = this.#options;
		log.warn("an Envoy has been away for so long that its alarms are told no more", { envoy: name });
		memory.remove().catch((error: unknown) => {
			log.warn("what the built-in probe knew cannot be removed", { why: WeirError.from(error).message, envoy: name });
		});
	}
}
