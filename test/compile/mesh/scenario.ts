/**
 * One Service in another mesh, from manifests to requests: a real Envoy configured as that mesh would, the real
 * sidecar, and mTLS clients. The meshes differ in how the manifests become a bootstrap.
 */
import type { Socket } from "node:net";
import type { Test } from "tap";
import { type Assignment, compileAssignment } from "../../../src/compile/assignment/assign.js";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import type { MeshOptions, MeshOutput } from "../../../src/compile/mesh/mesh.js";
import type { CalloutProtocol } from "../../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { ResourceSet } from "../../../src/declare/resources/resource.js";
import { startEnvoy } from "../../envoy/harness.js";
import { alone, headerValues, pipelined, rawGet } from "../../envoy/pipeline.js";
import { startVariantServer, type VariantServer } from "../../envoy/variantServer.js";
import { accessPolicy, experiment, resourceSet, service } from "../../fixtures/resources.js";
import { startSidecar, type TestSidecar } from "../../publish/sidecar/rig.js";
import { type MutualTls, mutualTls, spiffe } from "../access/mutualTls.js";
import { at, OPTIONS, onPort } from "./cases.js";

const HOST = "employment.example";
const UNITS = Array.from({ length: 40 }, (_, index) => `user-${index}`);

/** The Gateway declares no TLS: each mesh configures it in its own way. */
export function scenarioResources(): ResourceSet {
	return resourceSet({
		gateways: [onPort()],
		services: [
			service(
				"employment",
				[at("v1", "employment-v1.models.svc.cluster.local"), at("v2", "employment-v2.models.svc.cluster.local")],
				{ hosts: [HOST], access: null },
			),
			service("plain", [at("v1", "plain.models.svc.cluster.local")], { hosts: ["plain.example"] }),
		],
		experiments: [experiment("boosted", "employment", [1, 1], { stepsPpm: [1_000_000] })],
		accessPolicies: [
			accessPolicy("clients", "allow", ["employment"], { principals: [spiffe("client")] }),
			// Clients that may not use every arm's Variant are outside the Experiment and get the default Variant.
			accessPolicy("no-secrets-of-v2", "deny", ["employment"], { pathPrefixes: ["/secret"], variants: ["v2"] }),
		],
	});
}

export const scenarioOptions = (protocol: CalloutProtocol): MeshOptions => ({ ...OPTIONS, protocol });

/** Input from which a mesh's control plane would build a gateway's bootstrap. */
export interface GatewayInput {
	readonly output: MeshOutput;
	/** null = clients in plain text. */
	readonly tls: MutualTls["gateway"] | null;
	readonly adminSocket: string;
	/** Where the sidecar really is; the manifests name a Kubernetes Service. */
	readonly sidecarSocket: string;
	/** Port on the loopback interface of a Kubernetes Service, by its name. */
	readonly port: (service: string) => number;
}

export interface ScenarioSetup {
	readonly output: MeshOutput;
	readonly bootstrap: (input: GatewayInput) => object;
	readonly version?: string;
	/** Resources of the sidecar's table; the scenario's by default. */
	readonly resources?: ResourceSet;
}

export interface ScenarioOptions extends ScenarioSetup {
	/** Whether Services that need no sidecar are served without it. */
	readonly plainNeedsNone: boolean;
	/** Whether the sidecar gets header bytes beyond ASCII as they came, not as `!`. */
	readonly rawBytes: boolean;
}

/** @returns `STATUS UPSTREAM` */
type Ask = (
	from: () => Promise<Socket>,
	unit: string,
	more?: readonly string[],
	path?: string,
	host?: string,
) => Promise<string>;

export interface Scenario {
	readonly client: () => Promise<Socket>;
	readonly mallory: () => Promise<Socket>;
	readonly assignment: Assignment;
	readonly upstreams: readonly VariantServer[];
	readonly sidecar: TestSidecar;
	readonly ask: Ask;
	/** Requests that reached any Variant so far. */
	readonly reached: () => number;
}

export async function startScenario(
	t: Test,
	{ output, bootstrap, version, resources = scenarioResources() }: ScenarioSetup,
): Promise<Scenario> {
	const tls = await mutualTls(t);
	const upstreams = await Promise.all(
		["employment-v1", "employment-v2", "plain"].map((name) => startVariantServer(name)),
	);
	t.teardown(async () => {
		await Promise.all(upstreams.map((server) => server.close()));
	});
	const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, mode: "callout" });
	const sidecar = await startSidecar(t, plan);
	const envoy = await startEnvoy(
		t,
		(adminSocket) =>
			bootstrap({
				output,
				tls: tls.gateway,
				adminSocket,
				sidecarSocket: sidecar.socketPath,
				port: (name) => upstreams.find((server) => server.name === name)?.port ?? 0,
			}),
		version === undefined ? {} : { version },
	);
	const client = await tls.client(envoy.port(), "client");
	const mallory = await tls.client(envoy.port(), "mallory");

	const table = plan.table.services[0]?.experiments[0];
	if (table === undefined) throw new Error("no experiment");
	const assignment = compileAssignment(table);
	const ask: Ask = async (from, unit, more = [], path = "/", host = HOST) => {
		const lines = [`x-user-id: ${unit}`, ...more].map((line) => Buffer.from(line, "latin1"));
		const answer = await alone(from, rawGet(host, lines, path));
		return `${answer.status} ${headerValues(answer, "x-variant").join()}`;
	};
	const reached = () => upstreams.reduce((sum: number, server: VariantServer) => sum + server.requests(), 0);

	return { client, mallory, assignment, upstreams, sidecar, ask, reached };
}

/** A unit that is assigned to the Variant. */
export const unitOf = (assignment: Assignment, variant: string): string =>
	UNITS.find((unit) => (assignment.locate(unit)?.variant ?? "v1") === variant) ?? "";

/** Runs the whole scenario as assertions of t. */
export async function runScenario(t: Test, { plainNeedsNone, rawBytes, ...setup }: ScenarioOptions): Promise<void> {
	const { client, mallory, assignment, upstreams, sidecar, ask, reached } = await startScenario(t, setup);
	const answers = await pipelined(
		client,
		UNITS.map((unit) => rawGet(HOST, [Buffer.from(`x-user-id: ${unit}`)])),
	);
	t.same(
		answers.map((answer) => headerValues(answer, "x-variant").join()),
		UNITS.map((unit) => `employment-${assignment.locate(unit)?.variant ?? "v1"}`),
		"each unit gets the Variant that the pure function assigns",
	);
	const [v1, v2] = [unitOf(assignment, "v1"), unitOf(assignment, "v2")];
	t.equal(await ask(client, v1, ["x-weir-variant: v2", "X-Weir-Arm: boosted/arm2"]), "200 employment-v1", "no forging");
	const [first, second] = upstreams;
	t.equal(/^x-weir-arm: boosted\/arm1$/im.test(first?.lastHead() ?? ""), true, "the Variant gets the real arm");
	const underscores = ["x_weir_arm: forged", "X_Weir-Variant: forged", "x-weir_claim: forged"];
	// Envoy Gateway refuses such names unless a ClientTrafficPolicy allows them.
	t.match(await ask(client, v1, underscores), /^(200 employment-v1|400 )$/);
	t.notMatch(first?.lastHead(), /forged/, "nor with underscores, which CGI reads as hyphens");
	t.equal(await ask(client, v2, [], "/", `${HOST}:8080`), "200 employment-v2", "a port in the host has no effect");
	t.equal(/^x-weir-variant: v2$/im.test(second?.lastHead() ?? ""), true, "the header of the Variant is the sidecar's");
	t.equal(await ask(client, v1, [], "/secret"), "200 employment-v1", "v1 may serve it");
	t.equal(await ask(client, v2, [], "/secret"), "200 employment-v1", "v2 may not: the request is not eligible");
	t.notMatch(first?.lastHead(), /^x-weir-arm:/im, "and is in no arm");
	const before = reached();
	t.equal(await ask(mallory, v1), "403 ", "another principal");
	t.equal(await ask(mallory, v1, [], "/", `${HOST}:1`), "403 ", "another principal with any port");
	t.equal(reached(), before, "no denied request has reached a Variant");
	t.equal(await ask(client, v1, [], "/", "plain.example"), "200 plain");
	const bang = UNITS.map((unit) => `${unit}!`).find((unit) => assignment.locate(unit)?.variant === "v2") ?? "";
	t.equal(
		await ask(client, bang.replace("!", "\xff")),
		rawBytes ? "200 employment-v1" : "200 employment-v2",
		"a byte beyond ASCII makes the unit invalid if the sidecar gets it",
	);

	await sidecar.server.close();
	const dead = reached();
	t.equal(await ask(client, v1), "503 ", "without a sidecar: closed");
	t.equal(await ask(client, v1, ["x-weir-variant: v1"]), "503 ", "and no header opens it");
	t.equal(reached(), dead, "and no request reached a Variant");
	t.equal(
		await ask(client, v1, [], "/", "plain.example"),
		plainNeedsNone ? "200 plain" : "503 ",
		"a Service that needs no sidecar",
	);
}
