/**
 * A real Envoy, the sidecar and ingest: who may use one arm's Variant only is outside of the Experiment (the default
 * Variant for ids of every region, no arm, no exposure, no contradiction); who may use all takes part.
 */
import t from "tap";
import { compileAssignment } from "../../../../../src/compile/assignment/assign.js";
import { COUNTERS } from "../../../../../src/observe/events/meter.js";
import type { RequestAccount } from "../../../../../src/observe/events/query/account.js";
import { mutualTls, spiffe } from "../../../../compile/access/mutualTls.js";
import { bootstrapOf, startEnvoy } from "../../../../envoy/harness.js";
import { alone, headerValues, rawGet } from "../../../../envoy/pipeline.js";
import { startVariantServer } from "../../../../envoy/variantServer.js";
import {
	accessPolicy,
	CALLOUT,
	experiment,
	gateway,
	resourceSet,
	service,
	variant,
} from "../../../../fixtures/resources.js";
import { startSidecar } from "../../../../publish/sidecar/rig.js";
import { metric, query, seriesKey, startLiveRig } from "../../rig.js";

const UNITS = Array.from({ length: 16 }, (_, index) => `person-${index}`);

for (const protocol of ["ext_authz", "ext_proc"] as const) {
	t.test(protocol, { timeout: 60_000 }, async (t) => {
		const tls = await mutualTls(t);
		// Each Variant answers with its name and with the arm that it received.
		const upstreams = await Promise.all(
			["v1", "v2"].map((name) =>
				startVariantServer(name, (socket, head) => {
					const arm = /^x-weir-arm: (.*)\r$/im.exec(head)?.[1] ?? "none";
					socket.write(`HTTP/1.1 200 OK\r\nx-served: ${name}\r\nx-arm: ${arm}\r\ncontent-length: 0\r\n\r\n`);
				}),
			),
		);
		for (const upstream of upstreams) t.teardown(() => upstream.close());
		const { rig, planOf, collectors } = await startLiveRig(t);
		const [names, layered] = [["allowed", "forbidden"], (name: string) => ({ layer: name, stepsPpm: [1_000_000] })];
		const plan = planOf(
			resourceSet({
				gateways: [gateway({ tls: tls.gateway, exposeArm: false })],
				services: names.map((name) =>
					service(
						name,
						upstreams.map(({ port }, index) => variant(`v${index + 1}`, port)),
						// The sidecar lives in this process, which is busy with much else.
						{ access: null, callout: { ...CALLOUT, timeoutMs: 10_000 } },
					),
				),
				accessPolicies: [
					accessPolicy("all", "allow", names, { principals: [spiffe("alice")] }),
					accessPolicy("v1-only", "allow", ["allowed"], { principals: [spiffe("bob")], variants: ["v1"] }),
					accessPolicy("bob", "allow", ["forbidden"], { principals: [spiffe("bob")] }),
					accessPolicy("not-v2", "deny", ["forbidden"], { principals: [spiffe("bob")], variants: ["v2"] }),
					accessPolicy("v2-only", "allow", names, { principals: [spiffe("carol")], variants: ["v2"] }),
				],
				experiments: names.map((name) => experiment(`e-${name}`, name, [1, 1], layered(name))),
			}),
			{ protocol },
		);
		const sidecar = await startSidecar(t, plan);
		const envoy = await startEnvoy(t, bootstrapOf(plan, collectors, sidecar.socketPath));
		const clients = new Map(
			await Promise.all(
				["alice", "bob", "carol"].map(async (who) => [who, await tls.client(envoy.port(), who)] as const),
			),
		);
		const ask = async (who: string, host: string, unit: string) => {
			const answer = await alone(
				clients.get(who) ?? envoy.port(),
				rawGet(`${host}.test`, [Buffer.from(`x-user-id: ${unit}`)]),
			);
			const [served, arm] = ["x-served", "x-arm"].map((name) => headerValues(answer, name)[0] ?? null);
			return { status: answer.status, served, arm, id: headerValues(answer, "x-request-id")[0] ?? "" };
		};
		const account = async (id: string) => {
			for (let tries = 0; ; tries++) {
				const { status, json } = await rig.call("GET", `/v1/requests/${id}`, "");
				const found = json as RequestAccount;
				if (status === 200 && found.known === "whole") return found.route?.assignment;
				if (tries > 200) throw new Error(`answered ${status}: ${JSON.stringify(json)}`);
				await new Promise((resolve) => setTimeout(resolve, 50));
			}
		};

		for (const host of names) {
			const table = plan.table.services.find(({ name }) => name === host)?.experiments[0];
			if (table === undefined) throw new Error("no experiment");
			const { arm: armOf } = compileAssignment(table);
			const regions = new Set(UNITS.map(armOf));
			t.same(regions, new Set(["arm1", "arm2"]), "ids of both regions");
			for (const unit of UNITS) {
				const arm = armOf(unit);
				const variantOf = arm === "arm2" ? "v2" : "v1";
				t.match(await ask("alice", host, unit), { status: 200, served: variantOf, arm: `e-${host}/${arm}` }, unit);
				const other = `${unit}-of-bob`;
				t.match(await ask("bob", host, other), { status: 200, served: "v1", arm: "none" }, `bob, ${armOf(other)}`);
				t.match(
					await ask("carol", host, `${unit}-of-carol`),
					{ status: 403, served: null },
					"not even the default one",
				);
			}
			const known = await account((await ask("bob", host, "person-0-of-bob")).id);
			t.match(known, { by: "sidecar", experiment: null, arm: null, variant: "v1", notEligible: true });
			const found = async () =>
				rig.ingest.evidence.evidence({ ...query(metric("errors")), experiment: `e-${host}`, service: host });
			const exposed = async () => (await found()).arms.reduce((sum, { exposedUnits }) => sum + exposedUnits, 0);
			for (let tries = 0; (await exposed()) < UNITS.length && tries < 200; tries++)
				await new Promise((resolve) => setTimeout(resolve, 50));
			t.equal(await exposed(), UNITS.length, "alice's ids alone are exposed");
			t.match(await found(), { conflictingUnits: 0, droppedEntries: 0 }, rig.lines.join("\n"));
			const contradictions = seriesKey(COUNTERS.contradictions.name, { service: host });
			t.equal(rig.meter.counts.get(contradictions) ?? 0, 0);
		}
	});
}
