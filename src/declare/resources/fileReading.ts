/** Reads YAML files, and each document as the resource that it declares. Pure. */
import { schemaProblems } from "./faults.js";
import { orList } from "./fields/strict.js";
import { isKind, KINDS } from "./kinds.js";
import { memoize } from "./memoize.js";
import { type Named, shortened } from "./position.js";
import { API_VERSION, type Kind, type Problem, type Resource } from "./resource.js";
import { SCHEMAS } from "./schemas/byKind.js";
import { knownNames } from "./suggest.js";
import type { TokenBudget } from "./yaml/tokens.js";
import { readYaml, type YamlDocument, type YamlFile } from "./yaml/yaml.js";

interface TextFile {
	readonly name: string;
	readonly text: string;
}

/**
 * Caches parsed files within one request, because parsing is most of the cost of an apply. It takes several times their
 * size.
 */
export class FileReadings {
	readonly #files = new Map<TextFile, { readonly yaml: YamlFile; readonly tokens: number }>();

	/** null if it has problems. */
	readonly resource: (document: YamlDocument) => ReadResource = memoize(readResource);

	/** The resources of a file that was read, each with the line where its contents begin. */
	resources(file: TextFile): readonly { readonly resource: Resource; readonly line: number }[] {
		return (this.#files.get(file)?.yaml.documents ?? []).flatMap((document) => {
			const { resource } = this.resource(document);
			const line = document.places.nearest([])?.position.line;
			return resource === null || line === undefined ? [] : [{ resource, line }];
		});
	}

	/** As `readYaml`, from the budget too. */
	yaml(file: TextFile, budget: TokenBudget): YamlFile {
		const known = this.#files.get(file);
		// A file that exceeded one budget may fit into another.
		if (known !== undefined && known.tokens <= budget.left) {
			budget.left -= known.tokens;
			return known.yaml;
		}
		const before = budget.left;
		const yaml = readYaml(file, undefined, budget);
		if (budget.left >= 0) this.#files.set(file, { yaml, tokens: before - budget.left });
		return yaml;
	}
}

/** The result of reading one document. */
export interface ReadResource {
	/** null without a usable kind and name. */
	readonly named: Named | null;
	/** null where it has problems. */
	readonly resource: Resource | null;
	readonly faults: readonly Problem[];
}

export function readResource(document: YamlDocument): ReadResource {
	const { value, places } = document;
	const start = places.nearest([])?.position ?? null;
	if (!isKind(value.kind)) {
		const position = places.nearest(["kind"])?.position ?? null;
		const { kind } = value;
		const problem: Problem =
			kind === undefined
				? { position: start, message: "kind is missing", hint: `write kind: ${orList(KINDS)}` }
				: {
						position,
						message: `unknown kind ${shortened(JSON.stringify(kind))}`,
						hint: knownNames(String(kind), KINDS, "kinds"),
					};
		return { named: null, resource: null, faults: [problem, ...versionProblems(document)] };
	}
	const result = SCHEMAS[value.kind].safeParse(value);
	const named = nameOf(value.kind, value.metadata);
	if (!result.success) {
		return { named, resource: null, faults: schemaProblems(result.error.issues, document) };
	}
	return { named: result.data, resource: document.faulty ? null : result.data, faults: [] };
}

/** The problem of a document that is probably for another program. */
function versionProblems({ value, places }: YamlDocument): readonly Problem[] {
	if (value.apiVersion === API_VERSION) return [];
	const message =
		value.apiVersion === undefined
			? "apiVersion is missing"
			: `apiVersion is ${shortened(JSON.stringify(value.apiVersion))}`;
	const position = places.nearest(["apiVersion"])?.position ?? null;
	return [{ position, message, hint: `write apiVersion: ${API_VERSION}` }];
}

/** Kind and name of a resource that did not parse, if they can be read. */
function nameOf(kind: Kind, metadata: unknown): Named | null {
	if (typeof metadata !== "object" || metadata === null) return null;
	const { name, namespace = "default" } = metadata as Record<string, unknown>;
	return typeof name === "string" && typeof namespace === "string" ? { kind, metadata: { name, namespace } } : null;
}
