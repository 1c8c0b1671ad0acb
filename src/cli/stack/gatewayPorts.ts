/** Ports of the stack's Gateways: which they take, whether they are free, and whether Envoy listens there. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Gateway } from "../../declare/resources/resource.js";
import { qualifiedName } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";

/**
 * Below what Linux and others give to clients that connect (ip_local_port_range begins at 32768): such a one could have
 * the port by the time that Envoy binds it.
 */
const [FROM, TO] = [20_000, 32_000];
const TRIES = 20;

/** How long an Envoy of the last start may take to close its listeners: it drains them first. */
const PORTS_FREED_MS = 3_000;
const PORTS_POLL_MS = 50;

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
async function bound(port: number, host: string): Promise<number> {
	const server = createServer();
	// ipv6Only: as Envoy listens on ::.
	await new Promise<void>((resolve, reject) =>
		server.once("error", reject).listen({ port, host, ipv6Only: true }, resolve),
	);
	const { port: free } = server.address() as AddressInfo;
	await new Promise((resolve) => server.close(resolve));
	return free;
}

/**
 * Requires that no program listens on the Gateways' declared ports. Envoy itself would not notice another Weir: two Envoys
 * of one user share a port (SO_REUSEPORT), and each gets some of its connections.
 * @throws WeirError `unavailable`
 */
export async function requireFreePorts(gateways: readonly Gateway[], waitMs: number = PORTS_FREED_MS): Promise<void> {
	const deadline = performance.now() + waitMs;
	for (const { metadata, spec } of gateways) {
		while (spec.port !== 0 && (await isInUse(spec.port, spec.address))) {
			if (performance.now() >= deadline)
				throw new WeirError(
					"unavailable",
					`Gateway ${qualifiedName(metadata)}: another program listens on port ${spec.port} of ${spec.address}`,
					"stop it (it may be another weir up), or declare another port",
				);
			await pause(PORTS_POLL_MS);
		}
	}
}

/** Envoy reports other errors, such as an address of another machine. */
const isInUse = (port: number, address: string): Promise<boolean> =>
	bound(port, address).then(
		() => false,
		({ code }: NodeJS.ErrnoException) => code === "EADDRINUSE",
	);

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
		await pause(asked.everyMs);
	}
}
