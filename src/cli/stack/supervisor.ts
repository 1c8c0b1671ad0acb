/**
 * Keeps the processes of one machine's stack alive: starts each, waits for its word that it is ready, restarts
 * what dies (with a growing pause), and takes all down together. Children end by themselves when this process
 * dies, even by SIGKILL: they watch their IPC channel (see child.ts).
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { WeirError } from "../../error.js";

export interface ChildSpec {
	readonly name: string;
	/** Module to run, and its arguments. */
	readonly module: string;
	readonly args: readonly string[];
	/** Arguments of a restart, from the first start's ready message: the same port again, for example. */
	readonly argsAgain?: (ready: unknown) => readonly string[];
	readonly environment?: NodeJS.ProcessEnv;
	/** What to look at when a signal, such as SIGSEGV, ends it at start. */
	readonly crashHint?: string;
	/** How far below normal priority it runs: 0 (normal) to 19. */
	readonly niceness?: number;
}

export interface SupervisorOptions {
	/** Receives a line for each start, death and restart. */
	readonly notice: (line: string) => void;
	/** A child that is not ready by then has failed. */
	readonly readyTimeoutMs?: number;
}

const RESTART_PAUSE_MS = [100, 200, 400, 800, 1_600, 3_200, 5_000] as const;
/** A child that lived this long starts its pauses anew. */
const STABLE_AFTER_MS = 30_000;
const STOP_GRACE_MS = 5_000;

export class Supervisor {
	readonly #children = new Map<string, ChildProcess>();
	readonly #ended: Promise<void>[] = [];
	#stopping = false;

	constructor(readonly options: SupervisorOptions) {}

	/**
	 * Starts the child and keeps it alive. Resolves with the content of its ready message.
	 * @throws WeirError `unavailable` when its first start fails.
	 */
	async start(spec: ChildSpec): Promise<unknown> {
		const first = await this.#spawn(spec);
		const again = { ...spec, args: spec.argsAgain?.(first.ready) ?? spec.args };
		this.#ended.push(this.#keepAlive(again, first.child));
		return first.ready;
	}

	/** Process id of a living child; for tests and for people. */
	pid(name: string): number | undefined {
		return this.#children.get(name)?.pid;
	}

	/**
	 * Stops the children one by one in reverse order of start, also restarted ones and those that still start: SIGTERM, then
	 * SIGKILL after a grace.
	 */
	async stop(): Promise<void> {
		this.#stopping = true;
		for (const child of [...this.#children.values()].reverse()) {
			if (child.exitCode !== null || child.signalCode !== null) continue;
			const exited = once(child, "exit");
			child.kill("SIGTERM");
			const deadline = setTimeout(() => child.kill("SIGKILL"), STOP_GRACE_MS);
			await exited;
			clearTimeout(deadline);
		}
		await Promise.all(this.#ended);
	}

	async #spawn(spec: ChildSpec): Promise<{ child: ChildProcess; ready: unknown }> {
		if (this.#stopping) throw new WeirError("unavailable", `${spec.name} was not started: the stack stops`);
		const child = fork(spec.module, spec.args, {
			env: { ...process.env, ...spec.environment },
			stdio: ["ignore", "inherit", "inherit", "ipc"],
			// A process group of its own: a signal to ours, such as Ctrl-C, must not end all at once and in no order.
			detached: true,
		});
		this.#children.set(spec.name, child);
		// Now, while it has one thread: those that it starts inherit it.
		if (spec.niceness !== undefined && child.pid !== undefined) setPriority(child.pid, spec.niceness);
		const timeoutMs = this.options.readyTimeoutMs ?? 30_000;
		const ready = await new Promise<unknown>((resolve, reject) => {
			const timer = setTimeout(() => fail(`was not ready within ${timeoutMs / 1000} s`, "see its log"), timeoutMs);
			const fail = (why: string, hint: string) => {
				clearTimeout(timer);
				child.kill("SIGKILL");
				reject(new WeirError("unavailable", `${spec.name} ${why}`, hint));
			};
			const exited = (code: number | null, signal: NodeJS.Signals | null) => {
				if (signal === null) fail(`ended at start (exit ${code})`, "its own message stands above");
				else fail(`ended at start by the signal ${signal}`, spec.crashHint ?? "see the kernel's log (dmesg)");
			};
			child.once("exit", exited);
			child.once("message", (message) => {
				clearTimeout(timer);
				child.off("exit", exited);
				resolve(message);
			});
		});
		return { child, ready };
	}

	async #keepAlive(spec: ChildSpec, first: ChildProcess): Promise<void> {
		let child = first;
		let failures = 0;
		while (!this.#stopping) {
			const startedAt = performance.now();
			if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
			if (this.#stopping) return;
			failures = performance.now() - startedAt > STABLE_AFTER_MS ? 0 : failures + 1;
			const pause = RESTART_PAUSE_MS[Math.min(failures, RESTART_PAUSE_MS.length) - 1] ?? RESTART_PAUSE_MS[0];
			this.options.notice(
				`${spec.name} ended (${child.signalCode ?? `exit ${child.exitCode}`}); restarting in ${pause} ms`,
			);
			await new Promise((resolve) => setTimeout(resolve, pause));
			if (this.#stopping) return;
			try {
				child = (await this.#spawn(spec)).child;
				this.options.notice(`${spec.name} is back`);
			} catch (error) {
				const { message, hint } = WeirError.from(error);
				this.options.notice(`${message}; ${hint}`);
				child = this.#children.get(spec.name) ?? child;
			}
		}
	}
}
