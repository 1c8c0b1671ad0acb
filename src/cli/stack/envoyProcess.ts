/**
 * One Envoy process and its admin, over a UNIX socket. A pid file lets the next start end an Envoy that outlived
 * its parent: with SO_REUSEPORT an orphan would still accept a share of the connections.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { WeirError } from "../../error.js";
import { within } from "../../limits/within.js";

/**
 * How long a stopped Envoy may write its access log: two flushes and its admin's responses. Between tries its admin is
 * asked for requests in progress.
 */
const ENVOY_FINAL_FLUSH_MS = 500;
const ENVOY_FINAL_FLUSH_TRIES = 3;

/**
 * How long a stopping Envoy waits for its agent's final report: less, with ENVOY_FINAL_FLUSH_TRIES, than the stop timeout
 * of `weir up`.
 */
const AGENT_FINAL_REPORT_MS = 1_500;

export interface EnvoyOptions {
	readonly binary: string;
	readonly bootstrap: object;
	/** Holds the bootstrap and the pid file. */
	readonly directory: string;
	readonly adminSocket: string;
	/** Worker threads; Envoy's own default is one per core. */
	readonly concurrency?: number;
	readonly readyTimeoutMs?: number;
	/** Called at once with the function that stops it: Envoy may wait for control without a limit. */
	readonly spawned?: (stop: () => Promise<void>) => void;
	/** Called before it is ended; `drained`: it accepts no more requests and has written its access log. */
	readonly ended?: (drained: boolean) => Promise<void>;
}

export interface EnvoyProcess {
	readonly process: ChildProcess;
	/** By listener name: the port that it listens on (a declared port 0 is resolved). */
	readonly ports: ReadonlyMap<string, number>;
	admin(path: string, method?: "GET" | "POST"): Promise<string>;
	stop(): Promise<void>;
}

const POLL_MS = 20;

/** Resolves when Envoy is live and every listener listens. @throws WeirError `unavailable` with Envoy's last output. */
export async function startEnvoy(options: EnvoyOptions): Promise<EnvoyProcess> {
	const { directory, adminSocket } = options;
	endOrphan(directory);
	const pidFile = pidFileIn(directory);
	rmSync(adminSocket, { force: true });
	const config = join(directory, "bootstrap.json");
	writeFileSync(config, JSON.stringify(options.bootstrap, null, 1), { mode: 0o600 });
	const concurrency = options.concurrency === undefined ? [] : ["--concurrency", String(options.concurrency)];
	// immediate: after a listener update, responses ask clients to reconnect at once, not over ten minutes.
	const fixed = ["--disable-hot-restart", "--drain-strategy", "immediate", "-l", "warning"];
	const envoy = spawn(options.binary, ["-c", config, ...fixed, ...concurrency], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	const lastWords: string[] = [];
	envoy.stderr.setEncoding("utf8").on("data", (chunk: string) => {
		lastWords.push(chunk);
		if (lastWords.length > 20) lastWords.shift();
	});
	envoy.once("error", (error) => lastWords.push(error.message));
	if (envoy.pid !== undefined) writeFileSync(pidFile, String(envoy.pid), { mode: 0o600 });
	const admin = (path: string, method: "GET" | "POST" = "GET") => adminCall(adminSocket, path, method);
	let live = false;
	/**
	 * Flushes the access log: an ending Envoy writes no more of it.
	 * @returns whether all is written
	 */
	const drain = async (): Promise<boolean> => {
		await admin("/drain_listeners?graceful&skip_exit", "POST");
		await admin("/drain_listeners", "POST");
		let before = await requests(admin);
		for (let tries = 0; tries < ENVOY_FINAL_FLUSH_TRIES; tries++) {
			await pause(ENVOY_FINAL_FLUSH_MS);
			const { total, active } = await requests(admin);
			if (active === 0 && total === before.total) return true;
			before = { total, active };
		}
		return false;
	};
	const stop = async (): Promise<void> => {
		// A hanging Envoy is not waited for.
		const enough = (ENVOY_FINAL_FLUSH_TRIES + 1) * ENVOY_FINAL_FLUSH_MS;
		const written =
			live &&
			(await within(
				enough,
				drain().catch(() => false),
			)) === true;
		await within(AGENT_FINAL_REPORT_MS, options.ended?.(written) ?? null);
		if (envoy.exitCode === null && envoy.signalCode === null && envoy.pid !== undefined) {
			const exited = once(envoy, "exit");
			envoy.kill("SIGTERM");
			const deadline = setTimeout(() => envoy.kill("SIGKILL"), 5_000);
			await exited;
			clearTimeout(deadline);
		}
		rmSync(pidFile, { force: true });
	};
	options.spawned?.(stop);
	const deadline = performance.now() + (options.readyTimeoutMs ?? 20_000);
	for (;;) {
		if (envoy.exitCode !== null || envoy.signalCode !== null || envoy.pid === undefined) {
			throw new WeirError(
				"unavailable",
				`Envoy ended at start: ${lastWords.join("").trim().split("\n").slice(-3).join(" ")}`,
			);
		}
		const answer = await admin("/ready").catch(() => "");
		if (answer.trim() === "LIVE") break;
		if (performance.now() > deadline) {
			const unpublished = await hearsNothing(admin).catch(() => false);
			await stop();
			const late = "Envoy was not ready in time: ";
			if (unpublished)
				throw new WeirError(
					"unavailable",
					`${late}control has published nothing to it`,
					"declare a Gateway first (weir apply)",
				);
			throw new WeirError("unavailable", `${late}${lastWords.join("").trim().split("\n").slice(-3).join(" ")}`);
		}
		// Envoy's admin offers no event to wait on.
		await new Promise((resolve) => setTimeout(resolve, POLL_MS));
	}
	live = true;
	return { process: envoy, ports: listenerPorts(await admin("/listeners?format=json")), admin, stop };
}

/** Whether it is connected to a control that has not answered; Envoy's log names only a resource type. */
async function hearsNothing(admin: EnvoyProcess["admin"]): Promise<boolean> {
	const filter = "^(control_plane.connected_state|cluster_manager.cds.update_(success|rejected))$";
	const lines = (await admin(`/stats?filter=${encodeURIComponent(filter)}`)).split("\n");
	const is = (line: string): boolean => lines.includes(line);
	return (
		is("control_plane.connected_state: 1") &&
		is("cluster_manager.cds.update_success: 0") &&
		is("cluster_manager.cds.update_rejected: 0")
	);
}

/** Requests of all listeners: since its start, and under way. */
async function requests(admin: EnvoyProcess["admin"]): Promise<{ readonly total: number; readonly active: number }> {
	const page = await admin(`/stats?filter=${encodeURIComponent("^http\\..+\\.downstream_rq_(total|active)$")}`);
	const sum = (name: string): number =>
		page
			.split("\n")
			.filter((line) => line.includes(`.downstream_rq_${name}: `) && !line.startsWith("http.admin."))
			.reduce((all, line) => all + Number(line.split(": ")[1]), 0);
	return { total: sum("total"), active: sum("active") };
}

function listenerPorts(json: string): ReadonlyMap<string, number> {
	const { listener_statuses: statuses = [] } = JSON.parse(json) as {
		listener_statuses?: readonly { name: string; local_address?: { socket_address?: { port_value: number } } }[];
	};
	return new Map(statuses.map(({ name, local_address: address }) => [name, address?.socket_address?.port_value ?? 0]));
}

function adminCall(socketPath: string, path: string, method: string): Promise<string> {
	return new Promise((resolve, reject) => {
		const call = request({ socketPath, path, method, timeout: 5_000 }, (response) => {
			let body = "";
			response.setEncoding("utf8").on("data", (chunk: string) => {
				body += chunk;
			});
			response.once("end", () => resolve(body));
			response.once("error", reject);
		});
		call.once("timeout", () => call.destroy(new Error("Envoy's admin did not answer in 5 s")));
		call.once("error", reject).end();
	});
}

const pidFileIn = (directory: string): string => join(directory, "envoy.pid");

/** Ends an Envoy of this directory that outlived its parent. */
export function endOrphan(directory: string): void {
	try {
		const pid = Number(readFileSync(pidFileIn(directory), "utf8"));
		const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
		if (command.includes(join(directory, "bootstrap.json"))) process.kill(pid, "SIGKILL");
	} catch {
		// No pid file, no such process, or no /proc: nothing to end.
	}
}
