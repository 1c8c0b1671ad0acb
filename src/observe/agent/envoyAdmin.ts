/** Reads Envoy's counters and listeners from its admin API, over a local UNIX socket. */
import { request } from "node:http";
import type { Counters } from "../../compile/access/bypass/served.js";
import { WeirError } from "../../error.js";

/** Timeout of one request to Envoy's admin: all counters take 2 s for 4,000 Services at four Gateways on a busy machine. */
const ADMIN_ANSWER_MS = 20_000;

/** The address of a listener. */
export interface Bound {
	readonly address: string;
	readonly port: number;
}

export interface EnvoyAdmin {
	/** Counters that are not 0. @param filter a regular expression of names. @throws WeirError `unavailable` */
	counters(filter: string): Promise<Counters>;
	/** Listener addresses by name. @throws WeirError `unavailable` */
	listeners(): Promise<ReadonlyMap<string, Bound>>;
}

export const envoyAdmin = (socketPath: string): EnvoyAdmin => ({
	counters: async (filter) => {
		const text = await page(socketPath, `/stats?usedonly&filter=${encodeURIComponent(filter)}`);
		const lines = text.split("\n").filter((line) => line !== "");
		return new Map(
			lines.map((line) => {
				const [, name, value] = /^(.+): ([0-9]+)$/.exec(line) ?? [];
				if (name === undefined) throw unreadable("it shows no counters");
				return [name, Number(value)];
			}),
		);
	},
	listeners: async () => {
		const { listener_statuses: listeners = [] } = JSON.parse(
			await page(socketPath, "/listeners?format=json"),
		) as Listeners;
		return new Map(
			listeners.flatMap(({ name, local_address: at }) => {
				const { address, port_value: port } = at?.socket_address ?? {};
				return address === undefined || port === undefined ? [] : [[name, { address, port }] as const];
			}),
		);
	},
});

interface Listeners {
	readonly listener_statuses?: readonly {
		readonly name: string;
		readonly local_address?: { readonly socket_address?: Partial<Bound> & { readonly port_value?: number } };
	}[];
}

const unreadable = (why: string): WeirError => new WeirError("unavailable", `Envoy's admin cannot be read: ${why}`);

function page(socketPath: string, path: string): Promise<string> {
	return new Promise((resolve, reject) => {
		const fail = (why: string): void => reject(unreadable(why));
		const signal = AbortSignal.timeout(ADMIN_ANSWER_MS);
		const call = request({ socketPath, path, agent: false, signal }, (response) => {
			let text = "";
			response.setEncoding("utf8").on("data", (part: string) => {
				text += part;
			});
			response.on("end", () => (response.statusCode === 200 ? resolve(text) : fail(`${response.statusCode}`)));
			response.on("error", ({ message }) => fail(message));
		});
		call.on("error", ({ message }) => fail(message)).end();
	});
}
