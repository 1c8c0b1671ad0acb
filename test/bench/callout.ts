/**
 * Cost of a callout decision in the sidecar, beside a Go server that decides nothing and one that asks OPA, with Envoy's CPU.
 * Rounds through one Envoy per form alternate; figures are medians. Run: `node dist/test/bench/callout.js`, with Go; the last
 * line is `RESULT {"ratioToGoNoop":…,"ratioToOpa":…,"rssMiB":…,"procRatioToGoNoop":…}`.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Collectors } from "../../src/compile/plan/compiledPlan.js";
import { WeirError } from "../../src/error.js";
import { mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { CLIENT, type Declared, planOf } from "./callout/declaration.js";
import { directUs, STREAMS } from "./callout/directLoad.js";
import { clientTls, type Form, type FormDeclaration, startForm } from "./callout/form.js";
import { alternate, ended, medianUs, serverRatio, startLoad } from "./callout/rounds.js";
import { sidecarCommand } from "./callout/sidecar.js";
import { median } from "./native/median.js";
import { residentMiB } from "./native/processCpu.js";
import { peerBinaries } from "./peers/binaries.js";

const ROUNDS = 15;
const REQUESTS = 7_000;
/** With the rounds: more than 100,000 decisions before resident memory is read. */
const WARM_UP = 10_000;
const DIRECT_ROUNDS = 5;
const DIRECT_CALLS = 10_000;

const say = (line: string): boolean => process.stdout.write(`${line}\n`);
const cleanups: (() => Promise<void>)[] = [];
try {
	const peers = await peerBinaries(say);
	const directory = await mkdtemp(join(tmpdir(), "weir-callout-"));
	cleanups.push(() => rm(directory, { recursive: true, force: true }));
	const tls = await mutualTls({ teardown: (run) => cleanups.push(run) });
	const client = clientTls(tls.ca.certificate, await tls.ca.issue({ spiffeId: spiffe(CLIENT) }));
	const load = await startLoad(client);
	cleanups.push(() => load.stop());

	const all = { access: true, experiment: true };
	const tracesSocket = join(directory, "traces.sock");
	const sink = fork(new URL("./native/sink.js", import.meta.url), [tracesSocket]);
	cleanups.push(() => ended(sink));
	await once(sink, "message");
	const collectors: Collectors = { accessLogSocket: null, tracesSocket, traceSamplingPercent: 1 };
	const plan = (declared: Declared) => planOf(declared, tls.gateway, load.ports, collectors);
	const plain = plan({ access: false, experiment: false, sidecar: "nothing" });
	const native = plan({ ...all, sidecar: "nothing" });
	const authz = plan({ ...all, sidecar: "everything" });
	const proc = plan({ ...all, sidecar: "everything", protocol: "ext_proc" });
	const shown = plan({ ...all, sidecar: "everything", protocol: "ext_proc", exposeArm: true });
	const table = join(directory, "table.json");
	await writeFile(table, JSON.stringify({ version: authz.version, table: authz.table }));
	const nothing = { access: false, assignment: false };
	const everything = { access: true, assignment: true };
	const noop = (socket: string) => [peers.noop, socket];
	const opa = (socket: string) => [peers.opa, socket];
	const weir = (socket: string) => sidecarCommand(table, socket);
	const declarations: readonly FormDeclaration[] = [
		{ name: "plain", plan: plain, server: null, proves: nothing },
		{ name: "native", plan: native, server: null, proves: everything },
		{ name: "noopAuthz", plan: authz, server: noop, proves: nothing },
		{ name: "opaAuthz", plan: authz, server: opa, proves: { access: true, assignment: false } },
		{ name: "weirAuthz", plan: authz, server: weir, proves: everything },
		{ name: "noopProc", plan: proc, server: noop, proves: nothing },
		{ name: "weirProc", plan: proc, server: weir, proves: everything },
		// A further figure without a ratio: the sidecar is called again for the response.
		{ name: "weirProcTwo", plan: shown, server: weir, proves: everything },
	];
	const forms: Form[] = [];
	for (const declaration of declarations) {
		const form = await startForm({ ...declaration, collectors }, join(directory, `${declaration.name}.sock`), client);
		cleanups.push(() => form.stop());
		forms.push(form);
	}
	say(`Envoy ${forms[0]?.envoy.version}, one worker each; ${peers.goVersion}, GOMAXPROCS as Go chooses it`);

	say(`${ROUNDS} rounds of ${REQUESTS} requests per form; CPU µs per request, server + Envoy`);
	const costs = await alternate(load, forms, { rounds: ROUNDS, requests: REQUESTS, warmUp: WARM_UP, say });
	const sidecarPid = forms.find(({ name }) => name === "weirAuthz")?.server?.pid ?? 0;
	const rssMiB = await residentMiB(sidecarPid);
	for (const { name } of forms) {
		const [server, envoy] = [medianUs(costs, name, "server"), medianUs(costs, name, "envoy")];
		say(`${name.padEnd(11)} server ${server.toFixed(1)} µs, Envoy ${envoy.toFixed(1)} µs per request`);
	}

	say(`asked directly: ${STREAMS} calls in flight on one connection, fifteen headers; CPU µs per call of the server`);
	const direct = new Map<Form, number[]>(forms.flatMap((form) => (form.server === null ? [] : [[form, []]])));
	for (let index = 0; index < DIRECT_ROUNDS; index++) {
		for (const [form, values] of direct)
			values.push(await directUs(peers.load, form, form.name.includes("Proc") ? "proc" : "check", DIRECT_CALLS));
	}
	for (const [{ name }, values] of direct) say(`${name.padEnd(11)} ${median(values).toFixed(1)} µs per call`);

	const rounded = (value: number) => Number(value.toFixed(3));
	const result = {
		ratioToGoNoop: rounded(serverRatio(costs, "weirAuthz", "noopAuthz")),
		ratioToOpa: rounded(serverRatio(costs, "weirAuthz", "opaAuthz")),
		rssMiB: Number(rssMiB.toFixed(1)),
		procRatioToGoNoop: rounded(serverRatio(costs, "weirProc", "noopProc")),
	};
	say(`RESULT ${JSON.stringify(result)}`);
} catch (error) {
	if (!(error instanceof WeirError)) throw error;
	process.stderr.write(`${error.message}; ${error.hint}\n`);
	process.exitCode = 1;
} finally {
	for (const cleanup of cleanups.reverse()) await cleanup();
}
