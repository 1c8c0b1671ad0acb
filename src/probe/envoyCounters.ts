/** Reads Envoy's counters, which listeners it has and who it is, from its admin. */
import type { Counters } from "../access/bypass/counters.js";
import type { Bound } from "../access/bypass/foreignListeners.js";
import { type EnvoyAdmin, UNREAD, unreadable } from "../access/bypass/reach.js";
import { readLines, readPage } from "./envoyPage.js";

/** What is kept of them. */
export interface Kept {
	/** Of what counters. */
	readonly keeps: (name: string) => boolean;
	/** How many; one that says more is not believed. */
	readonly most: number;
}

const ALL: Kept = { keeps: () => true, most: Number.POSITIVE_INFINITY };

/**
 * Those that ever moved. All that there are would cost Envoy more, and be too many: several for each Service at each Gateway.
 * @param filter which ones: a regular expression
 * @throws UnreadPage where it cannot be read, with the cause in few words
 */
export async function readCounters(admin: EnvoyAdmin, filter: string, { keeps, most }: Kept = ALL): Promise<Counters> {
	const counters = new Map<string, number>();
	await readLines(admin, { page: "counters", filter }, (line) => {
		const [, name, value] = COUNTER.exec(line) ?? [];
		if (name === undefined) throw unreadable(UNREAD.unlike);
		if (!keeps(name)) return;
		counters.set(name, Number(value));
		if (counters.size > most) throw unreadable(UNREAD.many, "large");
	});
	return counters;
}

/** As `/stats` writes it as text. */
const COUNTER = /^(.+): ([0-9]+)$/;

interface ListenerStatus {
	readonly name?: unknown;
	readonly local_address?: { readonly socket_address?: { readonly address?: unknown; readonly port_value?: unknown } };
}

/**
 * The listeners that this Envoy has, by name: those of Weir's are qualified names of Gateways. null = it does not say where.
 * @throws UnreadPage where it cannot be read
 */
export async function readListeners(admin: EnvoyAdmin): Promise<ReadonlyMap<string, Bound | null>> {
	const page = await readPage(admin, { page: "listeners" });
	let listeners: unknown;
	try {
		listeners = (JSON.parse(page) as { listener_statuses?: unknown }).listener_statuses ?? [];
	} catch {
		listeners = null;
	}
	if (!Array.isArray(listeners)) throw unreadable(UNREAD.unlike);
	return new Map(
		(listeners as readonly ListenerStatus[]).flatMap(({ name, local_address: at }) => {
			const { address, port_value: port } = at?.socket_address ?? {};
			const bound = typeof address === "string" && typeof port === "number" ? { address, port } : null;
			return typeof name === "string" ? [[name, bound]] : [];
		}),
	);
}

/**
 * Its `node.id`; empty = it has none.
 * @throws UnreadPage where it cannot be read
 */
export async function readNode(admin: EnvoyAdmin): Promise<string> {
	const page = await readPage(admin, { page: "server-info" });
	try {
		const { node } = JSON.parse(page) as { node?: { id?: unknown } };
		return typeof node?.id === "string" ? node.id : "";
	} catch {
		throw unreadable(UNREAD.unlike);
	}
}

/** Which process of Envoy that is. */
export interface EnvoyProcess {
	/** When it started, in milliseconds since 1970 of whole seconds; null = it does not say. */
	readonly startedMs: number | null;
	/** How many it follows that were restarted while they served; null = it does not say. */
	readonly epoch: number | null;
}

/**
 * By its clock it tells how long it runs. On this machine that is ours: where it is set, both are; on another one it may be taken for
 * another process then.
 * @throws UnreadPage where it cannot be read
 */
export async function readProcess(admin: EnvoyAdmin): Promise<EnvoyProcess> {
	const page = await readPage(admin, { page: "server-info" });
	try {
		const { uptime_current_epoch: uptime, command_line_options: options } = JSON.parse(page) as {
			uptime_current_epoch?: unknown;
			command_line_options?: { restart_epoch?: unknown };
		};
		const epoch = options?.restart_epoch;
		return {
			// A protobuf Duration.
			startedMs:
				typeof uptime === "string" && /^\d+s$/.test(uptime) ? Date.now() - Number(uptime.slice(0, -1)) * 1000 : null,
			epoch: typeof epoch === "number" ? epoch : null,
		};
	} catch {
		throw unreadable(UNREAD.unlike);
	}
}

/**
 * Whether this Envoy is starting: it names listeners that it was given, and listens nowhere until all clusters are known.
 * @throws UnreadPage where it cannot be read
 */
export const isStarting = async (admin: EnvoyAdmin): Promise<boolean> =>
	(await readPage(admin, { page: "ready" })).includes("INITIALIZING");
