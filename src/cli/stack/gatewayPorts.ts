/** Ports of the stack's Gateways: which they take, and whether Envoy listens there. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import type { Gateway } from "../../declare/resources/resource.js";
import { qualifiedName } from "../../declare/resources/resource.js";

/**
 * Below what Linux and others give to clients that connect (ip_local_port_range begins at 32768): such a one could have
 * the port by the time that Envoy binds it.
 */
const [FROM, TO] = [20_000, 32_000];
const TRIES = 20;

/** Free ports of Gateways that declare 0, kept in a file: a restarted control gives Envoy the same ones. */
export class GatewayPorts {
	readonly #ports: Map<string, number>;

	constructor(private readonly file: string) {
		this.#ports = new Map(existsSync(file) ? Object.entries(JSON.parse(readFileSync(file, "utf8"))) : []);
	}

	/** By qualified name. */
	async of(gateways: readonly Gateway[]): Promise<ReadonlyMap<string, number>> {
		const open = gateways.filter(({ metadata, spec }) => spec.port === 0 && !this.#ports.has(qualifiedName(metadata)));
		for (const { metadata, spec } of open) this.#ports.set(qualifiedName(metadata), await freePort(spec.address));
		if (open.length > 0) writeFileSync(this.file, JSON.stringify(Object.fromEntries(this.#ports)), { mode: 0o600 });
		return this.#ports;
	}
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
