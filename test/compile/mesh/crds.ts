/**
 * The official schemas, from the projects' own Go modules (versions and checksums below), as JSON Schemas that refuse
 * unknown fields: the API server would prune those silently.
 */
import { execFile } from "node:child_process";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { Ajv, type ValidateFunction } from "ajv";
import { parseAllDocuments } from "yaml";
import type { Manifest } from "../../../src/compile/mesh/mesh.js";

/** Go modules by path: version, and checksum as in go.sum. */
export const MODULES = {
	"istio.io/api": ["v1.31.4", "h1:AcnncYrlDj1PJkym7h88Gggkef4MAra8QpGaXRMsr+E="],
	"github.com/envoyproxy/gateway": ["v1.9.1", "h1:vAVp6/AlBXJ1aOhp1mxL7fNEzVEfjADUguUhm2wzxQY="],
	// The version that Envoy Gateway 1.9.1 is built with.
	"sigs.k8s.io/gateway-api": ["v1.6.1", "h1:mock6phZbI6rvZerwrVNk7hVNymQgHo+6sJ81Ia7ftY="],
} as const;

type Module = keyof typeof MODULES;

const EG_CRDS = "charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_";
const GATEWAY_CRDS = "config/crd/standard/gateway.networking.k8s.io_";

const FILES: readonly (readonly [Module, string])[] = [
	["istio.io/api", "kubernetes/customresourcedefinitions.gen.yaml"],
	...["backends", "backendtrafficpolicies", "clienttrafficpolicies", "envoyextensionpolicies", "envoyproxies"].map(
		(kind) => ["github.com/envoyproxy/gateway", `${EG_CRDS}${kind}.yaml`] as const,
	),
	...["httproutefilters", "securitypolicies"].map(
		(kind) => ["github.com/envoyproxy/gateway", `${EG_CRDS}${kind}.yaml`] as const,
	),
	...["gateways", "httproutes", "referencegrants"].map(
		(kind) => ["sigs.k8s.io/gateway-api", `${GATEWAY_CRDS}${kind}.yaml`] as const,
	),
];

/** One file of a pinned module; downloaded once. */
export async function moduleFile(module: Module, path: string): Promise<string> {
	const [version, sum] = MODULES[module];
	const cached = join(homedir(), ".cache/weir/crds", `${module.replaceAll("/", "+")}@${version}`, path);
	const found = await readFile(cached, "utf8").catch(() => null);
	if (found !== null) return found;
	const { stdout } = await promisify(execFile)("go", ["mod", "download", "-json", `${module}@${version}`]);
	const downloaded: { readonly Dir: string; readonly Sum: string } = JSON.parse(stdout);
	if (sum !== downloaded.Sum)
		throw new Error(`${module}@${version} has checksum ${downloaded.Sum}, not the pinned one`);
	const text = await readFile(join(downloaded.Dir, path), "utf8");
	await mkdir(dirname(cached), { recursive: true });
	await writeFile(`${cached}.${process.pid}`, text);
	await rename(`${cached}.${process.pid}`, cached);
	return text;
}

/** Checks one manifest and returns its problems. */
export type Checker = (manifest: Manifest) => readonly string[];

export async function crdChecker(): Promise<Checker> {
	const schemas = new Map<string, Schema>();
	for (const [module, path] of FILES) {
		for (const document of parseAllDocuments(await moduleFile(module, path))) {
			const crd: CustomResourceDefinition | null = document.toJS();
			if (crd?.kind !== "CustomResourceDefinition") continue;
			for (const { name, served, schema } of crd.spec.versions) {
				if (served) schemas.set(`${crd.spec.group}/${name} ${crd.spec.names.kind}`, schema.openAPIV3Schema);
			}
		}
	}
	const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
	const compiled = new Map<string, ValidateFunction>();
	return (manifest) => {
		const kind = `${manifest.apiVersion} ${manifest.kind}`;
		const schema = schemas.get(kind);
		if (schema === undefined) return [`no CRD serves ${kind}`];
		const validate = compiled.get(kind) ?? ajv.compile(object(schema));
		compiled.set(kind, validate);
		validate(manifest);
		return (validate.errors ?? []).map(
			({ instancePath, message, params }) => `${manifest.kind} ${instancePath} ${message} ${JSON.stringify(params)}`,
		);
	};
}

interface CustomResourceDefinition {
	readonly kind: string;
	readonly spec: {
		readonly group: string;
		readonly names: { readonly kind: string };
		readonly versions: readonly {
			readonly name: string;
			readonly served: boolean;
			readonly schema: { readonly openAPIV3Schema: Schema };
		}[];
	};
}

type Schema = { readonly [keyword: string]: unknown };

/** metadata is the API server's own type, which a CRD leaves open. */
const METADATA: Schema = {
	type: "object",
	required: ["name", "namespace"],
	properties: {
		name: { type: "string", maxLength: 253, pattern: "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" },
		namespace: { type: "string", maxLength: 63, pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" },
	},
	additionalProperties: false,
};

/** Type and object metadata need not be in a CRD. */
const object = (schema: Schema): Schema => {
	const strict = closed(schema);
	return {
		...strict,
		required: ["apiVersion", "kind", "metadata", "spec"],
		properties: {
			...(strict.properties as Schema),
			apiVersion: { type: "string" },
			kind: { type: "string" },
			metadata: METADATA,
		},
	};
};

/** As the API server prunes: a field that no `properties` names is unknown, unless the schema keeps unknown ones. */
function closed(schema: Schema): Schema {
	if (schema["x-kubernetes-int-or-string"] === true) return { type: ["integer", "string"], ...keep(schema, "pattern") };
	const { properties, items, additionalProperties, ...rest } = schema;
	const open = schema["x-kubernetes-preserve-unknown-fields"] === true || typeof additionalProperties === "object";
	return {
		...rest,
		...(schema.nullable === true ? { type: [schema.type, "null"] } : {}),
		...(typeof items === "object" ? { items: closed(items as Schema) } : {}),
		...(typeof properties === "object" ? { properties: eachClosed(properties as Schema) } : {}),
		...(typeof additionalProperties === "object"
			? { additionalProperties: closed(additionalProperties as Schema) }
			: {}),
		...(schema.type === "object" && !open ? { additionalProperties: false } : {}),
	};
}

const eachClosed = (properties: Schema): Schema =>
	Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, closed(schema as Schema)]));

const keep = (schema: Schema, key: string): Schema => (key in schema ? { [key]: schema[key] } : {});

/** Fields of a proto3 message in their JSON names, with its nested messages' own left out. */
export function protoFields(proto: string, message: string): readonly string[] {
	const start = proto.indexOf(`message ${message} {`);
	if (start === -1) throw new Error(`there is no message ${message}`);
	let depth = 0;
	const fields: string[] = [];
	for (const line of proto.slice(start).split("\n")) {
		const code = line.replace(/\/\/.*/, "");
		const field = /^\s*(?:repeated\s+)?(?:map<[^>]+>|[A-Za-z0-9_.]+)\s+([a-z0-9_]+)\s*=\s*[0-9]+/.exec(code)?.[1];
		if (depth === 1 && field !== undefined) {
			fields.push(field.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()));
		}
		depth += code.split("{").length - code.split("}").length;
		if (depth === 0) break;
	}
	return fields;
}
