/** `weir ca` on the command line, and the names of the stack's parts. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t, { type Test } from "tap";
import { caChild, identitySocket, ownIdentity, stackIds } from "../../../src/cli/stack/identity.js";
import { spiffeFault } from "../../../src/declare/resources/spiffe.js";
import { MAIN } from "../../cli/command.js";
import { part } from "../../cli/part.js";
import { identityOf, scratch, until } from "./mesh.js";

t.setTimeout(120_000);

function weir(...args: string[]): Promise<{ readonly status: number; readonly err: string }> {
	return new Promise((resolve) => {
		execFile(process.execPath, [MAIN, ...args], (error, _out, err) =>
			resolve({ status: error === null ? 0 : Number(error.code), err }),
		);
	});
}

t.test("weir ca serves every part of a stack on its own socket; SIGHUP makes a new root", async (t) => {
	const directory = await scratch(t);
	const child = spawn(process.execPath, [MAIN, "ca", "--data", directory, "--svid-lifetime", "20s"], {
		stdio: ["ignore", "pipe", "ignore"],
	});
	t.teardown(() => void child.kill("SIGKILL"));
	let ready = "";
	for await (const line of createInterface({ input: child.stdout })) {
		ready = line;
		if (line.startsWith("READY")) break;
	}
	const stack = JSON.parse(ready.slice("READY ".length));
	t.equal(stack.trustDomain, "weir.local");
	t.same(Object.keys(stack.workloads), ["envoy", "control", "sidecar", "predictor", "operator"]);
	const run = join(directory, "run");
	for (const [name, { id, socket }] of Object.entries<{ id: string; socket: string }>(stack.workloads)) {
		t.equal(socket, identitySocket(run, name));
		t.equal((await identityOf(t, socket)).current().spiffeId, id);
	}
	t.equal((await stat(join(run, "identity"))).mode & 0o777, 0o700);
	process.env.SPIFFE_ENDPOINT_SOCKET = `unix://${identitySocket(run, "control")}`;
	t.teardown(() => {
		delete process.env.SPIFFE_ENDPOINT_SOCKET;
	});
	const control = await ownIdentity(undefined);
	t.teardown(() => control.close());
	t.equal(control.current().spiffeId, "spiffe://weir.local/weir/control");
	const { certificate, trustBundle } = control.current();
	child.kill("SIGHUP");
	await until(() => control.current().trustBundle.length > trustBundle.length, "both roots");
	await until(() => control.current().certificate !== certificate, "a new SVID");
	child.kill("SIGTERM");
	const [code] = await once(child, "exit");
	t.equal(code, 0);
	await t.rejects(stat(identitySocket(run, "control")), { code: "ENOENT" }, "it cleans up");
});

/** The workloads that weir ca serves, by name; it is stopped at once. */
async function served(t: Test, args: readonly string[]): Promise<Readonly<Record<string, { readonly id: string }>>> {
	const { ready, child } = await part(t, ["ca", "--data", await scratch(t), ...args]);
	child.kill("SIGTERM");
	return ready.workloads as Readonly<Record<string, { readonly id: string }>>;
}

t.test("--workload adds an identity or sets the id of a part; --workloads-only omits the others", async (t) => {
	const parts = ["envoy", "control", "sidecar", "predictor", "operator"];
	const given = ["--workload", "app=/apps/office", "--workload", "envoy=/weir/envoy/edge"];
	const both = await served(t, given);
	t.same(Object.keys(both), [...parts, "app"]);
	t.match(both, { app: { id: "spiffe://weir.local/apps/office" }, envoy: { id: /\/weir\/envoy\/edge$/ } });
	t.same(Object.keys(await served(t, [...given, "--workloads-only"])), ["app", "envoy"]);
});

t.test("wrong arguments are usage errors", async (t) => {
	const directory = await scratch(t);
	const cases: Readonly<Record<string, readonly string[]>> = {
		"no id": ["--workload", "envoy"],
		"no path": ["--workload", "envoy=weir"],
		"a name that leaves the folder": ["--workload", "../envoy=/weir/envoy"],
		"one name twice": ["--workload", "app=/a", "--workload", "app=/b"],
		"only those of none": ["--workloads-only"],
		"another trust domain's id": ["--workload", "envoy=spiffe://other.test/envoy"],
		"an ill-formed path": ["--workload", "envoy=/weir//envoy"],
		"no trust domain": ["--trust-domain", "Weir.Local"],
		"no duration": ["--svid-lifetime", "soon"],
		"a life too short": ["--svid-lifetime", "1s"],
		"a root that dies too soon": ["--svid-lifetime", "1h", "--root-lifetime", "2h"],
	};
	const outcomes = await Promise.all(
		Object.entries(cases).map(async ([what, args], index) => {
			const { status, err } = await weir("ca", "--data", join(directory, String(index)), ...args);
			return { what, status, err };
		}),
	);
	for (const { what, status, err } of outcomes) t.equal(status, 64, `${what}: ${err.trim()}`);
});

t.test("ids of the parts are valid SPIFFE ids for any name of an Envoy or operator", async (t) => {
	for (const name of ["a", "Jane Doe", "..", "", "a/b", "é", "x%2f"]) {
		for (const id of Object.values(stackIds("weir.test", { envoy: name, operator: name }))) {
			t.equal(spiffeFault(id), null, id);
		}
	}
	const ids = { envoy: stackIds().envoy };
	t.same(caChild({ data: "d", run: "r", ids }).args.slice(0, 1), ["ca"]);
	t.match(
		caChild({ data: "d", run: "r", ids }).args.join(" "),
		"--workload envoy=spiffe://weir.local/weir/envoy/weir-gateway",
	);
	await t.rejects(async () => ownIdentity(undefined), { code: "invalid-argument" }, "no socket is named");
});
