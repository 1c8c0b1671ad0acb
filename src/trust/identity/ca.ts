/**
 * Weir's certificate authority, the default without SPIRE. It keeps its roots on disk, issues short-lived SVIDs, serves each
 * on its own UNIX socket like a SPIRE agent, and renews them at half of their lifetime. It checks the wall clock every two
 * seconds, because a timer does not notice a changed clock or a suspended machine.
 *
 * It does not attest workloads. Node cannot read a socket's peer process, so every process of the same user that can reach
 * the 0700 folder can get any of its ids. If that is not enough, use SPIRE.
 */
import { createHash } from "node:crypto";
import { WeirError } from "../../error.js";
import { AgentSocket } from "./agentSocket.js";
import { IssuedIdentity } from "./issuedIdentity.js";
import type { LogLine, Meter } from "./ports.js";
import { RootStore } from "./rootStore.js";
import { Roots } from "./roots.js";

/** Life of an SVID of Weir's own CA. Agents renew it at half, so a shorter outage has no effect. */
export const IDENTITY_SVID_LIFETIME_MS = 3_600_000;

/** Life of a root of Weir's own CA: the next root is trusted from half of it on and signs from five sixths on. */
const IDENTITY_ROOT_LIFETIME_MS = 7 * 24 * 3_600_000;

/** A root must outlive what it signs in the last sixth of its own life. */
const IDENTITY_ROOT_TO_SVID_MIN = 6;

/** X.509 times are whole seconds; 2 s are for tests. */
const IDENTITY_SVID_LIFETIME_MIN_MS = 2_000;

/** How often Weir's own CA checks the clock. A long timer would miss a changed clock or a suspended machine. */
export const IDENTITY_CHECK_MS = 2_000;

/** Shortest pause between two checks of the CA. */
const IDENTITY_CHECK_PAUSE_MS = 1_000;

export interface CaOptions {
	/** Folder of the keys: created with mode 0700; only the own user may have access. */
	readonly directory: string;
	readonly trustDomain: string;
	readonly svidLifetimeMs?: number;
	/** At least six times svidLifetimeMs. */
	readonly rootLifetimeMs?: number;
	readonly log?: LogLine;
	readonly meter?: Meter;
	/** The wall clock. */
	readonly nowMs?: () => number;
}

export interface RunningCa {
	/**
	 * Serves SDS and the Workload API for exactly that id on that socket.
	 * @throws WeirError `invalid-argument` for an id outside the trust domain, `already-exists` when the socket is in use
	 */
	workload(spiffeId: string, socketPath: string): Promise<void>;
	/** All trusted roots, PEM. */
	bundle(): string;
	/** Adds a new root to the bundle; it signs after the overlap. Resolves when it has signed all identities. */
	rotateRoot(overlapMs?: number): Promise<void>;
	/** Does the root changes and renewals that are due. Called regularly by the CA itself. */
	look(): Promise<void>;
	close(): Promise<void>;
}

/** Connected clients get a new root within milliseconds; others get it when they reconnect. */
const OVERLAP_MS = 60_000;
/** Root changes in one check; the rest waits for the next one. */
const CHANGES_MAX = 3;

/** @throws WeirError `invalid-argument` for invalid lifetimes, `failed-precondition` for a folder that other users can enter */
export async function startCa(options: CaOptions): Promise<RunningCa> {
	const { svidLifetimeMs = IDENTITY_SVID_LIFETIME_MS, rootLifetimeMs = IDENTITY_ROOT_LIFETIME_MS } = options;
	const { trustDomain, nowMs = Date.now, log } = options;
	if (!(svidLifetimeMs >= IDENTITY_SVID_LIFETIME_MIN_MS)) {
		throw new WeirError("invalid-argument", `an SVID lives for ${IDENTITY_SVID_LIFETIME_MIN_MS} ms or more`);
	}
	if (!(rootLifetimeMs >= IDENTITY_ROOT_TO_SVID_MIN * svidLifetimeMs)) {
		throw new WeirError(
			"invalid-argument",
			`a root must live at least ${IDENTITY_ROOT_TO_SVID_MIN} times as long as an SVID`,
		);
	}
	const store = await RootStore.open(options.directory);
	const roots = await Roots.open(store, {
		trustDomain,
		rootLifetimeMs,
		svidLifetimeMs,
		nowMs,
		...(log === undefined ? {} : { log }),
	});
	return new Ca(options, roots, svidLifetimeMs);
}

interface Workload {
	readonly identity: IssuedIdentity;
	readonly socket: AgentSocket;
}

class Ca implements RunningCa {
	readonly #workloads: Workload[] = [];
	readonly #sockets = new Set<string>();
	readonly #roots: Roots;
	readonly #log: LogLine;
	readonly #meter: Meter | null;
	readonly #nowMs: () => number;
	readonly #svidLifetimeMs: number;
	#timer: NodeJS.Timeout | null = null;
	#closed = false;
	/** Changes of roots and SVIDs, one after the other. */
	#turn: Promise<void> = Promise.resolve();

	constructor({ log = () => {}, meter, nowMs = Date.now }: CaOptions, roots: Roots, svidLifetimeMs: number) {
		this.#roots = roots;
		this.#log = log;
		this.#meter = meter ?? null;
		this.#nowMs = nowMs;
		this.#svidLifetimeMs = svidLifetimeMs;
		this.#schedule();
	}

	async workload(spiffeId: string, socketPath: string): Promise<void> {
		if (this.#sockets.has(socketPath)) {
			throw new WeirError("already-exists", `${socketPath} already serves an identity`, "one socket for each id");
		}
		this.#sockets.add(socketPath);
		let socket: AgentSocket | null = null;
		try {
			const identity = await IssuedIdentity.start({
				spiffeId,
				lifetimeMs: this.#svidLifetimeMs,
				signer: () => this.#roots.signer,
				bundle: () => this.#roots.bundle(),
				nowMs: this.#nowMs,
				issued: () => this.#meter?.count("weir_identity_svids_issued_total", "SVIDs issued."),
				changed: () => socket?.push(),
			});
			socket = await AgentSocket.open({
				socketPath,
				current: () => identity.current(),
				log: this.#log,
				meter: this.#meter,
			});
			this.#workloads.push({ identity, socket });
			this.#schedule();
		} catch (error) {
			this.#sockets.delete(socketPath);
			throw error;
		}
	}

	bundle(): string {
		return this.#roots.bundle();
	}

	async rotateRoot(overlapMs = Math.min(OVERLAP_MS, this.#svidLifetimeMs / 2)): Promise<void> {
		await this.#inTurn(() => this.#prepare());
		await new Promise((resolve) => setTimeout(resolve, overlapMs));
		await this.#inTurn(async () => {
			await this.#activate();
			await this.#renew();
		});
	}

	look(): Promise<void> {
		return this.#inTurn(async () => {
			await this.#changeRoots().catch((error: Error) => this.#log(`the roots cannot be changed: ${error.message}`));
			// No one accepts an SVID of a root that is not valid now.
			if (this.#roots.usable)
				await this.#renew().catch((error: Error) => this.#log(`an SVID cannot be issued: ${error.message}`));
		});
	}

	async close(): Promise<void> {
		this.#closed = true;
		if (this.#timer !== null) clearTimeout(this.#timer);
		await this.#turn;
		for (const { socket } of this.#workloads) await socket.close();
	}

	#inTurn(run: () => Promise<void>): Promise<void> {
		const turn = this.#turn.then(() => (this.#closed ? undefined : run()));
		this.#turn = turn.catch(() => {});
		return turn.finally(() => this.#schedule());
	}

	async #changeRoots(): Promise<void> {
		const changes = {
			replace: () => this.#replace(),
			prepare: () => this.#prepare(),
			activate: () => this.#activate(),
			forget: () => this.#forget(),
		};
		for (let made = 0; made < CHANGES_MAX; made++) {
			const { what, atMs } = this.#roots.due();
			if (atMs > this.#nowMs()) return;
			await changes[what]();
		}
	}

	async #prepare(): Promise<void> {
		if (!(await this.#roots.prepare())) return;
		this.#log("a new root is in the trust bundle");
		this.#push();
	}

	async #activate(): Promise<void> {
		if (!(await this.#roots.activate())) return;
		this.#meter?.count("weir_identity_root_rotations_total", "Roots that took over.");
		this.#log(`root ${fingerprint(this.#roots.signer.certificate)} signs from now on`);
	}

	async #replace(): Promise<void> {
		await this.#roots.replace();
		this.#meter?.count("weir_identity_root_rotations_total", "Roots that took over.");
		const name = fingerprint(this.#roots.signer.certificate);
		this.#log(`the signing root is not valid now: root ${name} replaces all roots`);
	}

	async #forget(): Promise<void> {
		await this.#roots.forget();
		this.#push();
	}

	/** Renews all SVIDs that are due. @throws the first error, after all were tried */
	async #renew(): Promise<void> {
		const due = this.#workloads.filter(({ identity }) => identity.dueMs() <= this.#nowMs());
		const over = due.filter(({ identity }) => identity.isOver()).length;
		if (over > 0) this.#log(`${over} SVIDs are not valid now (the clock may have been set): they are issued anew`);
		const errors: unknown[] = [];
		for (const { identity } of due) await identity.renew().catch((error: unknown) => errors.push(error));
		if (errors.length > 0) throw errors[0];
	}

	#push(): void {
		for (const { identity, socket } of this.#workloads) {
			identity.bundleChanged();
			socket.push();
		}
	}

	#schedule(): void {
		if (this.#closed) return;
		if (this.#timer !== null) clearTimeout(this.#timer);
		const dueMs = Math.min(this.#roots.due().atMs, ...this.#workloads.map(({ identity }) => identity.dueMs()));
		// An SVID that lives for seconds is due in less than a second.
		const pauseMs = Math.min(IDENTITY_CHECK_PAUSE_MS, this.#svidLifetimeMs / 4);
		const waitMs = Math.max(pauseMs, Math.min(dueMs - this.#nowMs(), IDENTITY_CHECK_MS));
		this.#timer = setTimeout(() => void this.look(), waitMs);
	}
}

function fingerprint(certificate: string): string {
	return createHash("sha256").update(certificate).digest("hex").slice(0, 16);
}
