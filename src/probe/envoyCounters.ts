/** Reads Envoy's counters, which listeners it has and who it is, over its admin socket. */
import { request } from "node:http";
import type { Counters } from "../access/counters.js";
import type { Bound } from "../access/foreignListeners.js";
import { WeirError } from "../error.js";
import { PROBE_ANSWER_BYTES_MAX, PROBE_TIMEOUT_MS } from "../limits.js";

/**
 * @param adminSocket UNIX socket of Envoy's admin
 * @param filter which ones: a regular expression
 * @param which used: without those that never moved, which costs Envoy less
 * @throws WeirError `unavailable` where it cannot be read
 */
export async function readCounters(
	adminSocket: string,
	filter: string,
	which: "all" | "used" = "all",
): Promise<Counters> {
	const used = which === "used" ? "&usedonly" : "";
	const page = await adminPage(adminSocket, `/stats?format=json${used}&filter=${encodeURIComponent(filter)}`);
	let stats: unknown;
	try {
		stats = (JSON.parse(page) as { stats?: unknown }).stats;
	} catch {
		stats = null;
	}
	if (!Array.isArray(stats)) throw unreadable();
	const counters = new Map<string, number>();
	for (const { name, value } of stats as readonly { name?: unknown; value?: unknown }[]) {
		if (typeof name === "string" && typeof value === "number") counters.set(name, value);
	}
	return counters;
}

interface ListenerStatus {
	readonly name?: unknown;
	readonly local_address?: { readonly socket_address?: { readonly address?: unknown; readonly port_value?: unknown } };
}

/**
 * The listeners that this Envoy has, by name: those of Weir's are qualified names of Gateways. null = it does not say where.
 * @param adminSocket UNIX socket of Envoy's admin
 * @throws WeirError `unavailable` where it cannot be read
 */
export async function readListeners(adminSocket: string): Promise<ReadonlyMap<string, Bound | null>> {
	const page = await adminPage(adminSocket, "/listeners?format=json");
	let listeners: unknown;
	try {
		listeners = (JSON.parse(page) as { listener_statuses?: unknown }).listener_statuses ?? [];
	} catch {
		listeners = null;
	}
	if (!Array.isArray(listeners)) throw unreadable();
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
 * @param adminSocket UNIX socket of Envoy's admin
 * @throws WeirError `unavailable` where it cannot be read
 */
export async function readNode(adminSocket: string): Promise<string> {
	const page = await adminPage(adminSocket, "/server_info");
	try {
		const { node } = JSON.parse(page) as { node?: { id?: unknown } };
		return typeof node?.id === "string" ? node.id : "";
	} catch {
		throw unreadable();
	}
}

/**
 * For how long this process of Envoy runs, in milliseconds of whole seconds; null = it does not say.
 * @param adminSocket UNIX socket of Envoy's admin
 * @throws WeirError `unavailable` where it cannot be read
 */
export async function readUptime(adminSocket: string): Promise<number | null> {
	const page = await adminPage(adminSocket, "/server_info");
	try {
		const { uptime_current_epoch: uptime } = JSON.parse(page) as { uptime_current_epoch?: unknown };
		// A protobuf Duration.
		return typeof uptime === "string" && /^\d+s$/.test(uptime) ? Number(uptime.slice(0, -1)) * 1000 : null;
	} catch {
		throw unreadable();
	}
}

/**
 * Whether this Envoy is starting: it names listeners that it was given, and listens nowhere until all clusters are known.
 * @param adminSocket UNIX socket of Envoy's admin
 * @throws WeirError `unavailable` where it cannot be read
 */
export const isStarting = async (adminSocket: string): Promise<boolean> =>
	(await adminPage(adminSocket, "/ready")).includes("INITIALIZING");

function adminPage(socketPath: string, path: string): Promise<string> {
	return new Promise((resolve, reject) => {
		const call = request({ socketPath, path, agent: false, timeout: PROBE_TIMEOUT_MS }, (response) => {
			let text = "";
			response.setEncoding("utf8").on("data", (part: string) => {
				text += part;
				if (text.length > PROBE_ANSWER_BYTES_MAX) call.destroy(unreadable());
			});
			response.on("end", () => resolve(text));
			response.on("error", reject);
		});
		call.on("timeout", () => call.destroy(unreadable()));
		call.on("error", (error) => reject(error instanceof WeirError ? error : unreadable(error)));
		call.end();
	});
}

const unreadable = (cause?: Error): WeirError =>
	new WeirError(
		"unavailable",
		"Envoy's admin cannot be read",
		"look whether Envoy runs, and whose its admin socket is",
		{ cause },
	);

/** Nobody listens there: no Envoy is here. One that hangs is. */
export const isNobodyThere = ({ cause }: WeirError): boolean =>
	["ENOENT", "ECONNREFUSED"].includes((cause as NodeJS.ErrnoException | undefined)?.code ?? "");
