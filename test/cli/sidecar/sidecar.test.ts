/** `weir sidecar` as operators run it: its listeners, its workers, its end, and its state without control. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, stat, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import t from "tap";
import { contentHash } from "../../../src/compile/assignment/hash.js";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import type { CompiledPlan } from "../../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { CheckRequestSchema, CheckResponseSchema } from "../../../src/gen/envoy/service/auth/v3/external_auth_pb.js";
import { CHECK } from "../../../src/publish/sidecar/methods.js";
import { Matrix } from "../../failure/matrix.js";
import { counted } from "../../failure/metrics.js";
import { startSidecarChild } from "../../failure/sidecarChild.js";
import { stageResources, startStage, variantOf } from "../../failure/stage.js";
import { MAIN, temporaryDirectory } from "../command.js";

t.setTimeout(120_000);

const plan = (): CompiledPlan => compile(stageResources({}, {}), EMPTY_STATUS, { collectors: NO_COLLECTORS });
const tableText = ({ version, table }: Pick<CompiledPlan, "version" | "table">): string =>
	JSON.stringify({ version, table });

/** Asks on a connection of its own, by default for `assigned`. @returns the plan that answered */
async function ask(target: string, host = "assigned.test"): Promise<string | undefined> {
	// Channels to one target share a connection by default.
	const client = new Client(target, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
	return askOver(client, host).finally(() => client.close());
}

async function askOver(client: Client, host: string): Promise<string | undefined> {
	const request = create(CheckRequestSchema, { attributes: { request: { http: { method: "GET", path: "/", host } } } });
	const bytes = await new Promise<Buffer>((resolve, reject) => {
		client.makeUnaryRequest(
			CHECK,
			(message: Buffer) => message,
			(message: Buffer) => message,
			Buffer.from(toBinary(CheckRequestSchema, request)),
			(error, answer) => (answer === undefined ? reject(error) : resolve(answer)),
		);
	});
	const plan = fromBinary(CheckResponseSchema, bytes).dynamicMetadata?.plan;
	return typeof plan === "string" ? plan : undefined;
}

async function until(what: string, check: () => Promise<boolean> | boolean): Promise<void> {
	for (let tries = 0; !(await check()); tries++) {
		if (tries > 400) throw new Error(`not in time: ${what}`);
		await pause(25);
	}
}

t.test("--table and --socket: the sidecar answers, and reloads a changed file", async (t) => {
	const directory = await temporaryDirectory(t);
	const [file, socket] = [join(directory, "table.json"), join(directory, "sidecar.sock")];
	const first = plan();
	await writeFile(file, tableText(first), { mode: 0o600 });
	const sidecar = await startSidecarChild(t, { arguments: ["--table", file, "--socket", socket] });
	t.same(sidecar.ready, { socketPath: socket, plan: first.version });
	t.equal((await stat(socket)).mode & 0o777, 0o600, "no other user may connect");
	t.equal(await ask(`unix:${socket}`), first.version);

	const table = { gateways: [], services: first.table.services.map((own) => ({ ...own, defaultVariant: "v2" })) };
	const second = { version: contentHash(JSON.stringify(table)), table };
	await writeFile(file, tableText(second));
	await until("the new table is served", async () => (await ask(`unix:${socket}`)) === second.version);
	await writeFile(file, "{ broken");
	await until("the broken one is logged", () => /the table's file is bad/.test(sidecar.log()));
	t.equal(await ask(`unix:${socket}`), second.version, "the last good one stays");
	t.equal(await sidecar.end("SIGTERM"), 0);
});

// A valid TCP listener: test/publish/sidecar/tcpListener.test.ts.
t.test("--listen without an identity is refused, on the loopback too", async (t) => {
	const directory = await temporaryDirectory(t);
	const file = join(directory, "table.json");
	await writeFile(file, tableText(plan()), { mode: 0o600 });
	for (const host of ["127.0.0.1", "[::1]", "0.0.0.0"]) {
		await t.rejects(
			startSidecarChild(t, { arguments: ["--table", file, "--listen", `${host}:0`] }),
			/mutual TLS/,
			host,
		);
	}
});

t.test("--workers 2: all workers get the table, a killed one is replaced, and their counts are added up", async (t) => {
	const directory = await temporaryDirectory(t);
	const at = (name: string): string => join(directory, name);
	const own = plan();
	await writeFile(at("table.json"), tableText(own), { mode: 0o600 });
	const sidecar = await startSidecarChild(t, {
		arguments: [
			"--table",
			at("table.json"),
			"--socket",
			at("s.sock"),
			"--metrics-socket",
			at("m.sock"),
			"--workers",
			"2",
		],
	});
	const workers = (): readonly string[] =>
		execFileSync("pgrep", ["-P", String(sidecar.pid)], { encoding: "utf8" })
			.trim()
			.split("\n");
	const target = `unix:${at("s.sock")}`;
	const answered = () => counted(at("m.sock"), "weir_sidecar_answers_total", { service: "assigned" });
	const [first = "", ...others] = workers();
	t.equal(others.length, 1);
	for (let call = 0; call < 20; call++) t.equal(await ask(target), own.version);
	await until("the sum of both", async () => (await answered()) === 20);

	process.kill(Number(first), "SIGKILL");
	await until("a new worker", () => {
		const now = workers();
		return now.length === 2 && !now.includes(first);
	});
	// A new worker listens with the others; a connection that it had not accepted yet is tried again.
	for (let call = 0; call < 20; call++) t.equal(await ask(target), own.version, "also by the new one");
	await until("the sum goes on", async () => (await answered()) === 40);

	const table = { gateways: [], services: own.table.services.map((each) => ({ ...each, defaultVariant: "v2" })) };
	const next = contentHash(JSON.stringify(table));
	await writeFile(at("table.json"), JSON.stringify({ version: next, table }));
	await until("all workers have the new table", async () => {
		const plans = await Promise.all(Array.from({ length: 10 }, () => ask(target)));
		return plans.every((plan) => plan === next);
	});
	t.equal(await sidecar.end("SIGTERM"), 0);
});

t.test("SIGTERM fails no request through Envoy whose call was open", async (t) => {
	const waiting: (() => void)[] = [];
	const respond = (socket: Socket, name: string): void =>
		void waiting.push(() => socket.write(`HTTP/1.1 200 OK\r\nx-variant: ${name}\r\ncontent-length: 0\r\n\r\n`));
	const stage = await startStage(t, "ext_proc", { timeoutMs: 2_000, respond });
	const start = () => startSidecarChild(t, { arguments: ["--table", stage.tableFile, "--socket", stage.socketPath] });
	const sidecar = await start();
	// The sidecar has decided and waits for the response's headers; this request must not fail now.
	const asked = [stage.ask("assigned"), stage.ask("strict"), stage.ask("strict")];
	await until("the Variants have the requests", () => waiting.length === asked.length);
	sidecar.child.kill("SIGTERM");
	await until("it takes no more connections", async () => (await stat(stage.socketPath).catch(() => null)) === null);
	for (const answer of waiting) answer();
	for (const answer of await Promise.all(asked)) {
		t.equal(answer.status, 200);
		t.equal(variantOf(answer), "v2");
	}
	// The first signal is enough: a second one, after Node has removed its handlers, would end it at once.
	t.equal(await sidecar.ended(), 0, "and then it ends in order");
	t.equal((await stage.ask("guarded")).status, 503, "what comes later fails closed");
	await start();
	waiting.length = 0;
	const later = stage.ask("guarded");
	await until("the next one answers", () => waiting.length === 1);
	for (const answer of waiting) answer();
	t.equal((await later).status, 200);
});

t.test("without control the sidecar starts with DATA/sidecar-table.json", async (t) => {
	const stage = await startStage(t, "ext_authz", { timeoutMs: 1_000 });
	const data = join(stage.directory, "data");
	await mkdir(join(data, "run"), { recursive: true, mode: 0o700 });
	const { version, table } = stage.plan;
	const saved = { format: 1, version, table, confirmedAtMs: Date.now() - 5_000 };
	await writeFile(join(data, "sidecar-table.json"), JSON.stringify(saved), { mode: 0o600 });
	const start = () => startSidecarChild(t, { arguments: ["--data", data, "--socket", stage.socketPath] });
	const matrix = new Matrix(stage, "ext_authz");
	for (const what of ["a start", "a restart"]) {
		const sidecar = await start();
		t.equal(sidecar.ready.plan, version);
		await matrix.works(t, what);
		const metrics = join(data, "run", "sidecar-metrics.sock");
		const age = await counted(metrics, "weir_sidecar_table_age_seconds");
		t.ok(age >= 5 && age < 120, `its table is ${age} s old, since control does not confirm it`);
		await sidecar.end("SIGKILL");
	}
});

t.test("a sidecar that must end while it waits for control's first table ends in order", async (t) => {
	const directory = await temporaryDirectory(t);
	const child = spawn(process.execPath, [MAIN, "sidecar", "--data", directory], { stdio: ["ignore", "pipe", "pipe"] });
	t.teardown(() => void child.kill("SIGKILL"));
	let ready = "";
	child.stdout.on("data", (chunk) => {
		ready += chunk;
	});
	const ended = once(child, "exit");
	await new Promise<void>((resolve) => {
		child.stderr.on("data", (chunk) => String(chunk).includes("control is awaited") && resolve());
	});
	child.kill("SIGTERM");
	t.same(await ended, [0, null]);
	t.equal(ready, "");
});
