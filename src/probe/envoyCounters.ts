/** Reads Envoy's counters, which listeners it has and who it is, from its admin. */
import type { Counters } from "../access/bypass/counters.js";
import type { Bound } from "../access/bypass/foreignListeners.js";
import { type EnvoyAdmin, UNREAD, unreadable } from "../access/bypass/reach.js";
import { PROBE_ANSWER_NESTS_MAX } from "../limits.js";
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

/** As `/stats` writes it as text: 64 bits. */
const COUNTER = /^(.+): ([0-9]{1,20})$/;

interface ListenerStatus {
	readonly name: string;
	readonly local_address?: { readonly socket_address?: { readonly address?: unknown; readonly port_value?: unknown } };
}

/**
 * The listeners that this Envoy has, by name: those of Weir's are qualified names of Gateways. null = it does not say where.
 * @throws UnreadPage where it cannot be read
 */
export async function readListeners(admin: EnvoyAdmin): Promise<ReadonlyMap<string, Bound | null>> {
	const { listener_statuses: listeners = [] } = await readObject(admin, "listeners");
	if (!Array.isArray(listeners) || !listeners.every(isListener)) throw unreadable(UNREAD.unlike);
	return new Map(
		listeners.map(({ name, local_address: at }) => {
			const { address, port_value: port } = at?.socket_address ?? {};
			return [name, typeof address === "string" && typeof port === "number" ? { address, port } : null];
		}),
	);
}

const isListener = (one: unknown): one is ListenerStatus => isObject(one) && typeof one.name === "string";

/**
 * Its `node.id`; empty = it has none.
 * @throws UnreadPage where it cannot be read
 */
export async function readNode(admin: EnvoyAdmin): Promise<string> {
	const { node } = await readObject(admin, "server-info");
	return isObject(node) && typeof node.id === "string" ? node.id : "";
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
	typeof value === "object" && value !== null && !Array.isArray(value);

/** @throws UnreadPage where it cannot be read */
async function readObject(
	admin: EnvoyAdmin,
	page: "listeners" | "server-info",
): Promise<Readonly<Record<string, unknown>>> {
	const text = await readPage(admin, { page });
	if (nestsOf(text) > PROBE_ANSWER_NESTS_MAX) throw unreadable(UNREAD.unlike);
	let read: unknown;
	try {
		read = JSON.parse(text);
	} catch {
		read = null;
	}
	if (!isObject(read)) throw unreadable(UNREAD.unlike);
	return read;
}

/** How many objects and lists begin in a text of JSON, at most: those within strings count, too. */
function nestsOf(text: string): number {
	let nests = 0;
	for (let at = 0; at < text.length; at++) if (text[at] === "{" || text[at] === "[") nests++;
	return nests;
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
	const { uptime_current_epoch: uptime, command_line_options: options } = await readObject(admin, "server-info");
	const epoch = isObject(options) ? options.restart_epoch : null;
	return {
		// A protobuf Duration.
		startedMs:
			typeof uptime === "string" && /^\d+s$/.test(uptime) ? Date.now() - Number(uptime.slice(0, -1)) * 1000 : null,
		epoch: typeof epoch === "number" ? epoch : null,
	};
}

/**
 * Whether this Envoy is starting: it names listeners that it was given, and listens nowhere until all clusters are known.
 * @throws UnreadPage where it cannot be read
 */
export const isStarting = async (admin: EnvoyAdmin): Promise<boolean> =>
	(await readPage(admin, { page: "ready" })).includes("INITIALIZING");
