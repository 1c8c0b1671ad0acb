/** Ports of the stack's Gateways: finds free ones, and waits until Envoy listens there. */
import { type AddressInfo, createServer } from "node:net";
import type { Gateway } from "../../declare/resources/resource.js";
import { qualifiedName } from "../../declare/resources/resource.js";

/**
 * Below what Linux and others give to clients that connect (ip_local_port_range begins at 32768): such a one could have
 * the port by the time that Envoy binds it.
 */
const [FROM, TO] = [20_000, 32_000];
const TRIES = 20;

/** A port for each Gateway that declares 0, fixed for the stack's life: an Envoy that is restarted keeps it. */
export function freePorts(gateways: readonly Gateway[]): Promise<readonly (readonly [string, number])[]> {
	const open = gateways.filter(({ spec }) => spec.port === 0);
	return Promise.all(
		open.map(async ({ metadata, spec }) => [qualifiedName(metadata), await freePort(spec.address)] as const),
	);
}

async function freePort(address: string): Promise<number> {
	for (let tries = 0; tries < TRIES; tries++) {
		const port = await bound(FROM + Math.floor(Math.random() * (TO - FROM)), address).catch(() => null);
		if (port !== null) return port;
	}
	return bound(0, address);
}

/** A port that was free a moment ago. */
async function bound(port: number, address: string): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, address, resolve));
	const { port: free } = server.address() as AddressInfo;
	await new Promise((resolve) => server.close(resolve));
	return free;
}

export interface ListenersAsked {
	/** Names of the listeners that Envoy has now. */
	readonly listening: () => Promise<ReadonlySet<string>>;
	/** Envoy's error for refused listeners; null = none is refused. */
	readonly refusal: () => Promise<string | null>;
	readonly patienceMs: number;
	readonly everyMs: number;
}

/** Gateways that do not listen, and why. */
export interface Unheard {
	readonly names: readonly string[];
	/** Envoy's error; null = no error, it still tries. */
	readonly why: string | null;
}

/**
 * Waits until Envoy listens for each Gateway, or refuses a listener: it takes the others of the same response.
 * @param wanted qualified names
 * @returns null = all listen
 */
export async function untilListening(wanted: readonly string[], asked: ListenersAsked): Promise<Unheard | null> {
	const deadline = performance.now() + asked.patienceMs;
	for (;;) {
		// In this order: what is refused has been tried together with what listens by then.
		const why = await asked.refusal();
		const has = await asked.listening();
		const names = wanted.filter((name) => !has.has(name));
		if (names.length === 0) return null;
		if (why !== null || performance.now() >= deadline) return { names, why };
		await new Promise((resolve) => setTimeout(resolve, asked.everyMs));
	}
}
