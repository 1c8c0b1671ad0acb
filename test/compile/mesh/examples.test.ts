/** The examples in deploy/mesh equal the compilers' output for the declaration next to them. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { parseAllDocuments, stringify } from "yaml";
import { envoyGatewayManifests } from "../../../src/compile/mesh/envoyGateway.js";
import { istioManifests } from "../../../src/compile/mesh/istio.js";
import type { MeshOutput } from "../../../src/compile/mesh/mesh.js";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { goldenFile } from "../../golden/golden.js";
import { OPTIONS } from "./cases.js";

/** Compiled to dist/test/compile/mesh. */
const deploy = (name: string): string => fileURLToPath(new URL(`../../../../deploy/mesh/${name}`, import.meta.url));

const commented = (text: string): string => text.replace(/^/gm, "# ").replace(/ +$/gm, "");

/** As a person reads it: warnings and fragments above, manifests below. */
function page(mesh: string, { manifests, fragments, warnings }: MeshOutput): string {
	const head = [
		`Made of declaration.yaml for ${mesh} by test/compile/mesh/examples.test.ts (WEIR_GOLDEN=write).`,
		...warnings.map((warning) => `- ${warning}`),
		...fragments.map(
			({ into, value }) => `Merge by hand into ${into}:\n${stringify(value, { lineWidth: 0 }).trimEnd()}`,
		),
	];
	return `${head.map(commented).join("\n")}\n${manifests.map((one) => stringify(one, { lineWidth: 0 })).join("---\n")}`;
}

for (const [mesh, manifestsOf] of [
	["istio", istioManifests],
	["envoy-gateway", envoyGatewayManifests],
] as const) {
	t.test(`deploy/mesh/${mesh}.yaml equals the compiled example`, async (t) => {
		const text = await readFile(deploy("declaration.yaml"), "utf8");
		const { resources, problems } = loadResources([{ name: "declaration.yaml", text }]);
		t.same(problems, []);
		const output = manifestsOf(resources, { ...OPTIONS, protocol: "ext_authz" });
		t.same(output.problems, []);
		const made = page(mesh, output);
		const example = await goldenFile(deploy(`${mesh}.yaml`), made);
		t.equal(example, made);
		t.same(
			parseAllDocuments(example).map((document) => document.toJS()),
			output.manifests,
		);
	});
}
