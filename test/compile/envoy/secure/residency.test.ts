/** Regions: in any topology no Envoy gets an endpoint outside the regions of the data. */
import fc from "fast-check";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../../src/compile/compile.js";
import { dynamicBootstrap, staticBootstrap } from "../../../../src/compile/envoy/bootstrap.js";
import { envoyGatewayManifests } from "../../../../src/compile/mesh/envoyGateway.js";
import { istioManifests } from "../../../../src/compile/mesh/istio.js";
import { ENVOY_GATEWAY_CLASS, ISTIO_GATEWAY_LABELS, type MeshOptions } from "../../../../src/compile/mesh/mesh.js";
import { EMPTY_STATUS } from "../../../../src/decide/rollout/status.js";
import type { DataClass, Endpoint, ResourceSet } from "../../../../src/declare/resources/resource.js";
import { experiment, gateway, metadata, resourceSet, service } from "../../../fixtures/resources.js";
import { valuesUnder } from "../virtualHosts.js";

const REGIONS = ["ae-dxb", "ae-auh", "eu-west", "us-east"];
const NAMESPACES = ["default", "prod"];

/** Each endpoint has an address of its own, so that it is known again wherever it appears. */
const topology = fc
	.record({
		classes: fc.array(
			fc.record({ regions: fc.subarray(REGIONS, { minLength: 1 }), namespace: fc.constantFrom(...NAMESPACES) }),
			{
				minLength: 1,
				maxLength: 3,
			},
		),
		services: fc.array(
			fc.record({
				namespace: fc.constantFrom(...NAMESPACES),
				// One more than there are: a class that is not declared.
				dataClass: fc.option(fc.nat(3)),
				noEndpoint: fc.constantFrom("fail" as const, "default-variant" as const),
				variants: fc.array(
					fc.array(
						fc.record({
							region: fc.option(fc.constantFrom(...REGIONS, "")),
							zone: fc.constantFrom("", "a"),
							dns: fc.boolean(),
						}),
						{ maxLength: 4 },
					),
					{ minLength: 1, maxLength: 3 },
				),
			}),
			{ minLength: 1, maxLength: 4 },
		),
	})
	.map(({ classes, services }): ResourceSet => {
		let count = 0;
		const endpoint = ({ region, zone, dns }: { region: string | null; zone: string; dns: boolean }): Endpoint => {
			count++;
			return {
				address: dns ? `e${count}.pods.svc.cluster.local` : `10.0.${count >> 8}.${count & 255}`,
				port: 20_000 + count,
				locality: region === null ? null : { region, zone, subZone: "" },
			};
		};
		const made = services.map(({ namespace, dataClass, noEndpoint, variants }, index) =>
			service(
				`s${index}`,
				variants.map((endpoints, at) => ({ name: `v${at + 1}`, endpoints: endpoints.map(endpoint) })),
				{ namespace, noEndpoint, dataClass: dataClass === null ? null : `c${dataClass}` },
			),
		);
		return resourceSet({
			gateways: [gateway({ port: 8080 })],
			services: made,
			dataClasses: classes.map(
				({ regions, namespace }, index): DataClass => ({
					kind: "DataClass",
					metadata: metadata(`c${index}`, namespace),
					spec: { regions },
				}),
			),
			experiments: made
				.filter(({ spec }) => spec.variants.length > 1)
				.map(({ metadata: { name, namespace }, spec }) =>
					experiment(
						`e-${name}`,
						name,
						spec.variants.map(() => 1),
						{ namespace, layer: name },
					),
				),
		});
	});

/** Ports of allowed and forbidden endpoints, from the declaration. */
function ports({ services, dataClasses }: ResourceSet): {
	readonly inside: Set<number>;
	readonly outside: Set<number>;
} {
	const inside = new Set<number>();
	const outside = new Set<number>();
	for (const { metadata: own, spec } of services) {
		const bound = dataClasses.find(
			({ metadata: { name, namespace } }) => name === spec.dataClass && namespace === own.namespace,
		);
		for (const { port, locality } of spec.variants.flatMap(({ endpoints }) => endpoints)) {
			const free = spec.dataClass === null;
			const allowed = locality !== null && bound?.spec.regions.some((region) => region === locality.region);
			(free || allowed ? inside : outside).add(port);
		}
	}
	return { inside, outside };
}

const portsIn = (value: unknown): readonly number[] =>
	[...valuesUnder(value, "port_value"), ...valuesUnder(value, "number"), ...valuesUnder(value, "port")].flatMap(
		(one) => (typeof one === "number" ? [one] : []),
	);

const MESH: MeshOptions = {
	protocol: "ext_authz",
	sidecar: { socketPath: "/run/weir/sidecar.sock" },
	namespace: "mesh",
	gateway: null,
	gatewayLabels: ISTIO_GATEWAY_LABELS,
	gatewayClass: ENVOY_GATEWAY_CLASS,
	keySets: {},
};

t.test("plans, bootstraps and manifests have exactly the endpoints inside the regions, and panic is off", async (t) => {
	let excluded = 0;
	fc.assert(
		fc.property(topology, fc.constantFrom("auto" as const, "callout" as const), (set, mode) => {
			const { inside, outside } = ports(set);
			const plan = compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS, mode });
			const options = { collectors: NO_COLLECTORS, adminSocket: null, nodeId: "n", sidecarSocket: "/s" };
			const told = [
				plan.envoy,
				plan.table,
				staticBootstrap(plan.envoy, options),
				dynamicBootstrap("/ads", options),
				istioManifests(set, MESH).manifests,
				envoyGatewayManifests(set, MESH).manifests,
			];
			for (const value of told) {
				for (const port of portsIn(value)) if (outside.has(port)) throw new Error(`endpoint ${port} was told`);
			}
			const known = new Set(portsIn([plan.envoy.clusters, plan.envoy.endpoints]));
			for (const port of inside) if (!known.has(port)) throw new Error(`endpoint ${port} was lost`);
			for (const cluster of plan.envoy.clusters) {
				const { common_lb_config } = cluster as { readonly common_lb_config?: unknown };
				if (JSON.stringify(common_lb_config) !== '{"healthy_panic_threshold":{"value":0}}') throw new Error("panic");
			}
			const explained = plan.rules.filter(({ because }) => because.startsWith("left out: "));
			if (explained.length !== outside.size) throw new Error("explain names another number of endpoints");
			excluded += outside.size;
		}),
		{ numRuns: 500 },
	);
	t.ok(excluded > 500, `${excluded} endpoints were outside`);
});

t.test("a Variant whose endpoints are all outside has none", async (t) => {
	const abroad = { address: "10.0.0.1", port: 1, locality: { region: "us-east", zone: "", subZone: "" } };
	const home = { ...abroad, port: 2, locality: { region: "ae-dxb", zone: "", subZone: "" } };
	const set = (noEndpoint: "fail" | "default-variant") =>
		resourceSet({
			services: [
				service(
					"s",
					[
						{ name: "v1", endpoints: [home] },
						{ name: "v2", endpoints: [abroad] },
					],
					{ dataClass: "d", noEndpoint },
				),
			],
			dataClasses: [{ kind: "DataClass", metadata: metadata("d"), spec: { regions: ["ae-dxb"] } }],
			experiments: [experiment("e", "s", [1, 1])],
		});
	const clusters = (noEndpoint: "fail" | "default-variant") =>
		valuesUnder(compile(set(noEndpoint), EMPTY_STATUS, { collectors: NO_COLLECTORS }).envoy.routes, "clusters")
			.flat()
			.map((entry) => (entry as { readonly name: string }).name);
	t.ok(clusters("fail").includes("s/v2"), "its requests fail");
	t.notOk(clusters("default-variant").includes("s/v2"), "or the default Variant serves them");
	const { rules } = compile(set("fail"), EMPTY_STATUS, { collectors: NO_COLLECTORS });
	t.match(
		rules.map(({ rule, because }) => `${rule}: ${because}`),
		[
			/./,
			/./,
			/^Service s: hop to its endpoints: PLAIN TEXT to 10.0.0.1:2: /,
			"Service s: endpoint 10.0.0.1:1 of Variant v2: left out: its region us-east is none of those of DataClass d (ae-dxb)",
			/./,
			/./,
		],
	);
});
