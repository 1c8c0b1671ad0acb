/**
 * `weir compile --format istio | envoy-gateway`: manifests for a mesh that is not ours, as documents that kubectl takes
 * (JSON is YAML). What must be merged by hand stands above them in comments; warnings go to standard error.
 */

import { isPublicKeySet } from "../../compile/envoy/keySet.js";
import { envoyGatewayManifests } from "../../compile/mesh/envoyGateway.js";
import { istioManifests } from "../../compile/mesh/istio.js";
import { ENVOY_GATEWAY_CLASS, ISTIO_GATEWAY_LABELS, type SidecarAddress } from "../../compile/mesh/mesh.js";
import type { CalloutProtocol } from "../../compile/plan/compiledPlan.js";
import type { ResourceSet } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { readDeclaredFile } from "../../trust/tokens/declaredFile.js";
import { readKeySet } from "../../trust/tokens/keySet.js";
import { publishedKeySet } from "../../trust/tokens/publishedKeys.js";
import { printProblems, validResources } from "../resourceFiles.js";
import { port } from "./control.js";

export interface CompileMeshArguments {
	readonly file: readonly string[];
	readonly format: "istio" | "envoy-gateway";
	readonly protocol?: CalloutProtocol;
	readonly sidecarAddress?: string;
	readonly sidecarSocket?: string;
	readonly namespace?: string;
	readonly gateway?: string;
}

/** The port of the documents in deploy/; nothing of Weir listens there by itself. */
const SIDECAR_PORT = 9191;

export async function compileMesh(options: CompileMeshArguments): Promise<void> {
	if ((options.gateway ?? "").split("/").length > 2)
		throw new WeirError("invalid-argument", `--gateway ${options.gateway} is not NAME or NAMESPACE/NAME`);
	const resources = await validResources(options.file);
	const namespace = options.namespace ?? (options.format === "istio" ? "istio-system" : "default");
	const make = options.format === "istio" ? istioManifests : envoyGatewayManifests;
	const output = make(resources, {
		protocol: options.protocol ?? "ext_authz",
		sidecar: sidecarOf(options, namespace),
		namespace,
		gateway: options.gateway ?? null,
		gatewayLabels: ISTIO_GATEWAY_LABELS,
		gatewayClass: ENVOY_GATEWAY_CLASS,
		keySets: await keySetsOf(resources),
	});
	if (output.problems.length > 0) {
		printProblems(output.problems);
		process.exitCode = 1;
		return;
	}
	for (const warning of output.warnings) process.stderr.write(`warning: ${warning}\n`);
	const fragments = output.fragments.map(
		({ into, value }) => `# Merge into ${into}:\n${comment(JSON.stringify(value, null, 2))}\n`,
	);
	const documents = output.manifests.map((one) => `---\n${JSON.stringify(one, null, 2)}\n`);
	process.stdout.write([...fragments, ...documents].join(""));
}

const comment = (text: string): string => text.replace(/^/gm, "#   ");

function sidecarOf({ sidecarAddress, sidecarSocket }: CompileMeshArguments, namespace: string): SidecarAddress {
	if (sidecarSocket !== undefined) return { socketPath: sidecarSocket };
	if (sidecarAddress === undefined) return { host: `weir-sidecar.${namespace}.svc.cluster.local`, port: SIDECAR_PORT };
	const colon = sidecarAddress.lastIndexOf(":");
	if (colon < 1) throw new WeirError("invalid-argument", `--sidecar-address ${sidecarAddress} is not HOST:PORT`);
	return { host: sidecarAddress.slice(0, colon), port: port(sidecarAddress.slice(colon + 1)) };
}

/** The keys that tokens are verified by; a set that is none, or shows what no manifest may, is refused as it stands. */
function shownText(bytes: Uint8Array): string {
	const text = Buffer.from(bytes).toString("utf8");
	const set = isPublicKeySet(text) ? readKeySet(bytes) : null;
	return set === null ? text : publishedKeySet(set);
}

/** The key sets that the Gateways name; a manifest holds them. */
async function keySetsOf({ gateways }: ResourceSet): Promise<Readonly<Record<string, string>>> {
	const issuers = gateways
		.flatMap(({ spec }) => spec.tokens)
		.flatMap(({ issuer, keys }) => (keys.from === "file" ? [{ issuer, jwksFile: keys.file }] : []));
	const texts = await Promise.all(
		issuers.map(async ({ issuer, jwksFile }) => {
			const text = await readDeclaredFile(jwksFile).catch((cause: unknown) => {
				throw new WeirError("not-found", `the keys of ${issuer} cannot be read: ${jwksFile}`, "", { cause });
			});
			return [issuer, shownText(text)] as const;
		}),
	);
	return Object.fromEntries(texts);
}
