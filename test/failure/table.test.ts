/** The sidecar is well, but its table is not: none, too old, or a file that cannot be read. */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { contentHash } from "../../src/compile/assignment/hash.js";
import { askHealth } from "../publish/sidecar/askHealth.js";
import { CLOSED, NO_TABLE, STALE } from "./cases.js";
import { Matrix } from "./matrix.js";
import { counted } from "./metrics.js";
import { startSidecarChild } from "./sidecarChild.js";
import { PROTOCOLS, SERVICES, type Stage, startStage } from "./stage.js";

t.setTimeout(120_000);
// Most of the time is waiting.
t.jobs = PROTOCOLS.length;

const HOUR_MS = 3_600_000;

/** The file of the last good table, as a sidecar leaves it. */
const saved = ({ plan: { version, table } }: Pick<Stage, "plan">, ageMs: number): string =>
	JSON.stringify({ format: 1, version, table, confirmedAtMs: Date.now() - ageMs });

/** The plan's table from a control that knows more of these Services than this sidecar, with one that it knows whole. */
function withStrange(names: readonly string[], { plan }: Stage): Pick<Stage, "plan"> {
	const services = plan.table.services.map((one) => (names.includes(one.name) ? { ...one, quota: 1 } : one));
	const [first] = plan.table.services;
	if (first === undefined) throw new Error("the stage has no Services");
	const table = { ...plan.table, services: [...services, { ...first, name: "plain", hosts: ["plain.test"] }] };
	return { plan: { ...plan, version: contentHash(JSON.stringify(table)), table } };
}

for (const protocol of PROTOCOLS) {
	t.test(`${protocol}: tables that are not good`, async (t) => {
		const stage = await startStage(t, protocol, { timeoutMs: 1_000 });
		const matrix = new Matrix(stage, protocol);

		/** A sidecar with that file of the last good table, on a socket that Envoy does not know yet; control is away. */
		const start = async (name: string, text: string | null) => {
			const data = join(stage.directory, name.replaceAll(" ", "-"));
			const [socket, metrics] = [join(data, "own.sock"), join(data, "metrics.sock")];
			await mkdir(join(data, "run"), { recursive: true, mode: 0o700 });
			if (text !== null) await writeFile(join(data, "sidecar-table.json"), text, { mode: 0o600 });
			const sidecar = await startSidecarChild(t, {
				arguments: ["--data", data, "--socket", socket, "--metrics-socket", metrics],
			});
			const counts = async (reason: string, verdict = "none"): Promise<void> => {
				const labels = { verdict, reason };
				t.ok((await counted(metrics, "weir_sidecar_answers_total", labels)) >= SERVICES.length, `it counts ${reason}`);
			};
			return { name, sidecar, socket, counts };
		};
		// Without control a start waits for it for some seconds: they wait together.
		const known = Promise.all([
			start("stale", saved(stage, HOUR_MS)),
			start("young", saved(stage, 60_000)),
			start("closed strict", saved(withStrange(["strict"], stage), 60_000)),
			// However old: where the callout assigns alone, no answer would let the default Variant serve.
			...[60_000, HOUR_MS].map((ageMs) => start(`closed ${ageMs}`, saved(withStrange(SERVICES, stage), ageMs))),
		]);
		const without = await Promise.all([
			start("no file", null),
			start("a corrupt file", "{ this is no JSON"),
			start("another version's table", saved(stage, 0).replace(stage.plan.version, "0123456789abcdef")),
			start("half a file", saved(stage, 0).slice(0, 400)),
		]);
		const [stale, young, one, ...all] = await known;
		for (const { name, sidecar, socket, counts } of without) {
			t.equal(sidecar.ready.plan, null, `${name}: it starts without a table`);
			t.equal(await askHealth(socket), 2, `${name}: and its health is NOT_SERVING`);
			await rename(socket, stage.socketPath);
			await matrix.fails(t, NO_TABLE, name);
			await counts("no-table");
			await sidecar.end("SIGKILL");
		}

		t.equal(stale.sidecar.ready.plan, stage.plan.version);
		t.equal(await askHealth(stale.socket), 2, "it is too old for every Service, and health is NOT_SERVING");
		await rename(stale.socket, stage.socketPath);
		await matrix.fails(t, STALE, "a table of an hour ago");
		await stale.counts("stale-table");
		await stale.sidecar.end("SIGKILL");

		await rename(young.socket, stage.socketPath);
		await matrix.works(t, "a table of a minute ago, without control");
		await young.sidecar.end("SIGKILL");

		await rename(one.socket, stage.socketPath);
		for (const name of SERVICES) {
			const seen = stage.seen(name);
			t.equal((await stage.ask(name)).status, name === "strict" ? 503 : 200, `strict cannot be executed: ${name}`);
			t.equal(stage.seen(name) - seen, name === "strict" ? 0 : 1);
		}
		t.equal((await stage.ask("guarded", "mallory")).status, 403);
		await one.sidecar.end("SIGKILL");
		for (const { name, sidecar, socket, counts } of all) {
			await rename(socket, stage.socketPath);
			await matrix.fails(t, CLOSED, `${name}: a table of which the Services cannot be executed`);
			await counts("configuration-refused", "deny");
			await sidecar.end("SIGKILL");
		}

		// A table without the Services is valid: it denies all.
		const empty = join(stage.directory, "empty.json");
		await writeFile(empty, emptyTable());
		const sidecar = await startSidecarChild(t, { arguments: ["--table", empty, "--socket", stage.socketPath] });
		for (const name of SERVICES) {
			const seen = stage.seen(name);
			t.equal((await stage.ask(name)).status, 403, `a table without Services: ${name}`);
			t.equal(stage.seen(name), seen);
		}
		await sidecar.end();
		await matrix.logged(t);
	});
}

/** As `weir compile --format table` prints it for a declaration without Services. */
function emptyTable(): string {
	const table = { gateways: [], services: [] };
	return JSON.stringify({ version: contentHash(JSON.stringify(table)), table });
}
