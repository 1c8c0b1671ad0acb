/**
 * Every manifest that we can emit for other people's meshes against the official CRDs, strictly. Needs Go for the
 * first download of the pinned modules (test/compile/mesh/crds.ts).
 */
import t from "tap";
import { envoyGatewayManifests } from "../../src/compile/mesh/envoyGateway.js";
import { istioManifests } from "../../src/compile/mesh/istio.js";
import type { Manifest } from "../../src/compile/mesh/mesh.js";
import { CASES, PROTOCOLS } from "../compile/mesh/cases.js";
import { crdChecker, moduleFile, protoFields } from "../compile/mesh/crds.js";

const MESHES = { istio: istioManifests, "envoy-gateway": envoyGatewayManifests };

t.test("every manifest is valid by the official CRDs, and none has a field that would be pruned", async (t) => {
	const check = await crdChecker();
	const kinds = new Set<string>();
	for (const [mesh, manifestsOf] of Object.entries(MESHES)) {
		for (const { name, resources, options } of CASES) {
			for (const protocol of PROTOCOLS) {
				const { manifests } = manifestsOf(resources, { ...options, protocol });
				for (const manifest of manifests) kinds.add(`${mesh} ${manifest.kind}`);
				t.same(manifests.flatMap(check), [], `${mesh}, ${protocol}: ${name}`);
			}
		}
	}
	t.equal(kinds.size, 7 + 10, [...kinds].sort().join(", "));

	const [first] = CASES;
	if (first === undefined) throw new Error("no case");
	const { manifests } = istioManifests(first.resources, { ...first.options, protocol: "ext_authz" });
	const virtualService = manifests.find(({ kind }) => kind === "VirtualService") as Manifest;
	const spec = { ...virtualService.spec, htttp: [] };
	t.match(
		check({ ...virtualService, spec }).join(),
		/must NOT have additional properties.*htttp/,
		"the check is strict",
	);
	t.match(check({ ...virtualService, kind: "VirtualServices" }).join(), /no CRD serves/);
});

t.test("the fragments of MeshConfig have the fields that Istio's API has", async (t) => {
	const [first] = CASES;
	if (first === undefined) throw new Error("no case");
	const config = await moduleFile("istio.io/api", "mesh/v1alpha1/config.proto");
	const proxy = await moduleFile("istio.io/api", "mesh/v1alpha1/proxy.proto");
	const fragments = PROTOCOLS.flatMap(
		(protocol) => istioManifests(first.resources, { ...first.options, protocol }).fragments,
	);
	t.equal(fragments.length, 2);
	const value = Object.assign({}, ...fragments.map((fragment) => fragment.value)) as {
		readonly extensionProviders: readonly [{ readonly envoyExtAuthzGrpc: object }];
		readonly defaultConfig: object;
	};
	const subset = (fields: object, message: string, proto: string) => {
		const known = protoFields(proto, message);
		t.same(
			Object.keys(fields).filter((field) => !known.includes(field)),
			[],
			`${message}: ${Object.keys(fields).join(", ")}`,
		);
	};
	subset(value, "MeshConfig", config);
	subset({ name: "", envoyExtAuthzGrpc: {} }, "ExtensionProvider", config.replace(/oneof provider \{/, ""));
	subset(value.extensionProviders[0].envoyExtAuthzGrpc, "EnvoyExternalAuthorizationGrpcProvider", config);
	subset(value.defaultConfig, "ProxyConfig", proxy);
});
