/**
 * How the built-in probe reaches one Envoy, on this machine or on another one: pages of its admin, to read, and probes through
 * its listeners. Nothing else is asked of any.
 */
import { WeirError } from "../../error.js";
import {
	PROBE_ANSWER_BYTES_MAX,
	PROBE_COUNTERS_BYTES_MAX,
	PROBE_COUNTERS_MS_MAX,
	PROBE_TIMEOUT_MS,
} from "../../limits.js";
import type { Bound } from "./foreignListeners.js";
import type { Guard } from "./probe.js";

export type AdminPage =
	| { readonly page: "ready" | "server-info" | "listeners" }
	/** Those that ever moved. `filter`: which ones, a regular expression. */
	| { readonly page: "counters"; readonly filter: string };

/** What a page may be. */
export interface Most {
	readonly bytes: number;
	/** Until its last byte. */
	readonly ms: number;
}

export const mostOf = ({ page }: AdminPage): Most =>
	page === "counters"
		? { bytes: PROBE_COUNTERS_BYTES_MAX, ms: PROBE_COUNTERS_MS_MAX }
		: { bytes: PROBE_ANSWER_BYTES_MAX, ms: PROBE_TIMEOUT_MS };

/** Takes a page part by part, and throws where it is no such page. The next one comes when what it returns has resolved. */
export type TakePart = (part: string) => void | Promise<void>;

export interface EnvoyAdmin {
	/**
	 * @returns the status, when the page has ended
	 * @throws UnreadPage
	 */
	page(page: AdminPage, take: TakePart): Promise<number>;
}

/** How a listener is reached. */
export interface ListenerWay {
	readonly address: string;
	readonly port: number;
	/** `unproved`: whoever answers there; `mesh`: both ends by their SPIFFE ids. */
	readonly tls: "none" | "unproved" | "mesh";
}

/** One that listens everywhere is asked by the loopback. */
export const asReached = ({ address, port }: Bound): Bound => ({
	address: address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address,
	port,
});

export interface ProbeAnswer {
	/** HTTP status; null = no answer came. */
	readonly status: number | null;
	/** As far as it was read. */
	readonly body: string;
	/** Why no answer came. */
	readonly why?: string;
}

/** Sends one probe; null = it could not be sent, which says nothing of the listener. Never rejects. */
export type AskListener = (host: string, guard: Guard) => Promise<ProbeAnswer | null>;

export interface EnvoyReach {
	readonly admin: EnvoyAdmin;
	/** Why no Gateway of the mesh can be asked; null = it can. */
	readonly meshless: string | null;
	through(way: ListenerWay): AskListener;
}

/**
 * `nobody`: no Envoy is there. `unattended`: the keeper of an Envoy of another machine does not answer. The others: one that
 * is there does not tell it.
 */
export type UnreadKind = "nobody" | "broken" | "late" | "large" | "refused" | "unattended";

export class UnreadPage extends WeirError {
	constructor(
		readonly kind: UnreadKind,
		message: string,
		cause?: unknown,
	) {
		super("unavailable", message, "look whether Envoy runs, and whose its admin socket is", { cause });
	}
}

/** @param why in few words, for metrics have it: the same for the same cause */
export const unreadable = (why: string, kind: UnreadKind = "broken", cause?: unknown): UnreadPage =>
	new UnreadPage(kind, `Envoy's admin cannot be read: ${why}`, cause);

/** In the words of an Envoy of another machine, as it says its kind alone. */
export const unreadThere = (kind: UnreadKind, { bytes }: Most): UnreadPage =>
	kind === "unattended"
		? new UnreadPage(kind, "its weir envoy does not answer control")
		: unreadable(kind === "large" ? tooLarge(bytes) : UNREAD[kind], kind);

export const UNREAD = {
	nobody: "it cannot be reached, or broke off",
	broken: "it cannot be reached, or broke off",
	late: "it takes too long",
	refused: "its weir envoy does not tell that page",
	unlike: "it says what no Envoy does",
	many: "it says more counters than what is declared can have",
} as const;

export const tooLarge = (bytes: number): string => `it says more than ${bytes / 1024 / 1024} MiB`;

export const tooManyLines = (count: number): string => `it says more than ${count} lines`;

/** No Envoy is there. One that hangs is. */
export const isNobodyThere = (error: unknown): boolean => error instanceof UnreadPage && error.kind === "nobody";

/** Whether it is there is not known: who could tell does not answer. */
export const isUnattended = (error: unknown): boolean => error instanceof UnreadPage && error.kind === "unattended";
