/** Listeners of an Envoy that are no Gateway's: nothing of Weir's judges what comes by them. */
import { hostPort } from "../../resources/address.js";

/** Where a listener listens. */
export interface Bound {
	readonly address: string;
	readonly port: number;
}

export const isSameBound = (one: Bound, other: Bound): boolean =>
	one.address === other.address && one.port === other.port;

export interface ForeignListener {
	readonly alarm: "foreign-listener";
	/** Of none. */
	readonly gateway: "";
	/** As its Envoy names it: whatever somebody has written. */
	readonly listener: string;
	/** null = it does not say, or it is no IP address. */
	readonly bound: Bound | null;
	/** How many others there are that are not named. */
	readonly more?: number;
}

/** An Envoy may have any number, each with any name. */
const NAMED_MAX = 20;
const NAME_CHARACTERS_MAX = 200;

/** As they are told of: some, the last of them with the number of the others. */
export const someOf = (all: readonly ForeignListener[]): readonly ForeignListener[] =>
	all.slice(0, NAMED_MAX).map((one, at) => {
		const { length } = one.listener;
		const listener = length > NAME_CHARACTERS_MAX ? `${one.listener.slice(0, NAME_CHARACTERS_MAX)}…` : one.listener;
		const isLast = at === NAMED_MAX - 1 && all.length > NAMED_MAX;
		return { ...one, listener, ...(isLast ? { more: all.length - NAMED_MAX } : {}) };
	});

/**
 * Weir's own bootstrap has no listener, and its admin's is none to Envoy.
 * @param listeners what Envoy has, by name
 * @param gateways qualified names of all that are declared, that this Envoy has of earlier plans, or that leave it
 */
export const foreignListeners = (
	listeners: ReadonlyMap<string, Bound | null>,
	gateways: ReadonlySet<string>,
): readonly ForeignListener[] =>
	[...listeners]
		.filter(([name]) => !gateways.has(name))
		.map(([listener, bound]) => ({ alarm: "foreign-listener", gateway: "", listener, bound }));

/** Its address, for people; empty where none is known. */
export const addressOf = ({ bound }: Pick<ForeignListener, "bound">): string =>
	bound === null ? "" : hostPort(bound.address, bound.port);
