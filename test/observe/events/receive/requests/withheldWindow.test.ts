/**
 * A client of HTTP/2 decides when it reads a refusal, and Envoy ends its request only then. Before and after, a refused
 * request exposes no unit. A request that an allowed client left open at an upstream does, or whose answer it did not read:
 * otherwise an arm with long answers would seem to have fewer units.
 */
import { once } from "node:events";
import t, { type Test } from "tap";
import { mutualTls, spiffe } from "../../../../compile/access/mutualTls.js";
import { bootstrapOf, startEnvoy } from "../../../../envoy/harness.js";
import { inThisTier } from "../../../../envoy/tierVersions.js";
import {
	accessPolicy,
	experiment,
	gateway,
	PATIENT,
	resourceSet,
	service,
	variant,
} from "../../../../fixtures/resources.js";
import { startUpstream } from "../../../../fixtures/upstream.js";
import { startSidecar } from "../../../../publish/sidecar/rig.js";
import { metric, query, startLiveRig } from "../../rig.js";

// Most of the time is waiting for windows and settling.
t.jobs = 4;

for (const [version, protocol] of inThisTier([
	["1.40.0", null],
	["1.36.2", null],
	["1.40.0", "ext_authz"],
	["1.38.3", "ext_proc"],
] as const)) {
	t.test(`Envoy ${version}, ${protocol ?? "native"}`, { timeout: 60_000 }, (t) => untaken(t, version, protocol));
}

async function untaken(t: Test, version: string, protocol: "ext_authz" | "ext_proc" | null): Promise<void> {
	const tls = await mutualTls(t);
	const upstream = await startUpstream(t, ({ url }, response) => {
		if (url === "/answered") response.end("an answer");
	});
	const { rig, planOf, collectors } = await startLiveRig(t);
	const plan = planOf(
		resourceSet({
			gateways: [gateway({ tls: tls.gateway })],
			services: [
				service("guarded", [variant("v1", upstream), variant("v2", upstream)], {
					access: null,
					// The sidecar lives in this process.
					callout: { ...PATIENT, access: protocol === null ? "native" : "sidecar" },
				}),
			],
			experiments: [experiment("e", "guarded", [1, 1], { stepsPpm: [1_000_000] })],
			accessPolicies: [accessPolicy("alice", "allow", ["guarded"], { principals: [spiffe("alice")] })],
		}),
		{ mode: protocol === null ? "auto" : "callout", protocol: protocol ?? "ext_authz" },
	);
	t.equal(plan.table.services[0]?.callout?.assignment ?? false, protocol !== null);
	const sidecar = protocol === null ? null : await startSidecar(t, plan);
	const envoy = await startEnvoy(t, bootstrapOf(plan, collectors, sidecar?.socketPath), { version });
	const open = async (caller: string) => {
		// No byte of an answer's body may come.
		const session = await tls.http2(envoy.port(), caller, { initialWindowSize: 0 });
		return (unit: string, path = "/") => {
			const stream = session.request({ ":path": path, ":authority": "guarded.test", "x-user-id": unit });
			stream.on("error", () => undefined);
			return stream;
		};
	};
	const exposed = async (): Promise<number> => {
		const { arms } = await rig.ingest.evidence.evidence({
			...query(metric("errors")),
			experiment: "e",
			service: "guarded",
		});
		return arms.reduce((sum, { exposedUnits }) => sum + exposedUnits, 0);
	};
	const until = async (units: number): Promise<void> => {
		for (let tries = 0; (await exposed()) < units; tries++) {
			if (tries > 300) throw new Error(`no ${units} units: ${rig.lines.join("\n")}`);
			await new Promise((resolve) => setTimeout(resolve, 50));
		}
	};
	const [unknown, alice] = [await open("unknown"), await open("alice")];
	const refused = Array.from({ length: 50 }, (_, index) => unknown(`forged-${index}`));
	for (const one of refused) t.equal((await once(one, "response"))[0][":status"], 403);
	// She began later, so that by the time she counts they would.
	alice("hers");
	await until(1);
	t.equal(await exposed(), 1, "hers alone, while the refusals are not taken");
	for (const one of refused) one.close(8);
	alice("hers-again");
	await until(2);
	t.equal(await exposed(), 2, "hers alone, when they have ended");
	const unread = Array.from({ length: 20 }, (_, index) => alice(`unread-${index}`, "/answered"));
	for (const one of unread) t.equal((await once(one, "response"))[0][":status"], 200);
	await until(22);
	t.notOk(
		unread.some(({ readableLength }) => readableLength > 0),
		"a served unit counts, whether or not the client reads the response",
	);
}
