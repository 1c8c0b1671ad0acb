/**
 * Parses YAML files to a ResourceSet with all problems. Never throws. Resources with problems are left out of the set; a
 * set with any problem must not be applied.
 */
import { PROBLEMS_FOUND_MAX, PROBLEMS_MAX, RESOURCE_DOCUMENTS_MAX } from "../../limits/index.js";
import { checkResources } from "./checks/check.js";
import { FileReadings } from "./fileReading.js";
import { resourceSet } from "./kinds.js";
import { DocumentPlaces, type Named, type Path, type Places, Positions, resourceTitle } from "./position.js";
import type { Problem, Resource, ResourceSet } from "./resource.js";
import { tokenBudget } from "./yaml/tokens.js";
import { readYaml, type YamlDocument } from "./yaml/yaml.js";

/** Minimum cost of one file. */
const RESOURCE_FILE_TOKENS = 10;

export interface ResourceFile {
	/** As messages show it: a path, or `-` for stdin. */
	readonly name: string;
	readonly text: string;
	/** The resource that was read from the text, if the text is one stored document. */
	readonly accepted?: Resource;
}

export interface ParsedResources {
	readonly resources: ResourceSet;
	/** As `reported()` shows them; `readResources()` has all, unsorted. */
	readonly problems: readonly Problem[];
	readonly positions: Positions;
}

/**
 * Reads files without cross-checks. Names must be unique per kind and namespace over all files.
 * @param readings of the same files, if they are read more than once
 */
export function readResources(files: readonly ResourceFile[], readings = new FileReadings()): ParsedResources {
	const problems: Problem[] = [];
	const resources: Resource[] = [];
	const positions = new Positions();
	const declared = new Set<string>();
	const budget = tokenBudget();
	let documents = 0;
	for (const file of files) {
		if (file.accepted !== undefined) {
			const { accepted } = file;
			declared.add(resourceTitle(accepted));
			positions.add(accepted, acceptedPlaces(file, accepted), false);
			resources.push(accepted);
			continue;
		}
		// More problems are not reported.
		if (budget.left < 0 || problems.length >= PROBLEMS_FOUND_MAX) continue;
		budget.left -= RESOURCE_FILE_TOKENS;
		const yaml = readings.yaml(file, budget);
		for (const problem of yaml.problems) problems.push(problem);
		for (const document of yaml.documents) {
			documents++;
			if (documents > RESOURCE_DOCUMENTS_MAX || problems.length >= PROBLEMS_FOUND_MAX) break;
			const { named, resource, faults } = readings.resource(document);
			for (const fault of faults) problems.push(fault);
			if (named === null) continue;
			const title = resourceTitle(named);
			if (declared.has(title)) {
				problems.push(duplicateProblem(named, document, positions));
				continue;
			}
			declared.add(title);
			positions.add(named, document.places, resource === null);
			if (resource !== null) resources.push(resource);
		}
	}
	if (documents > RESOURCE_DOCUMENTS_MAX) {
		const message = `the files hold more than ${RESOURCE_DOCUMENTS_MAX} resources together`;
		problems.push({ position: null, message, hint: "apply them in several sets" });
	}
	return { resources: resourceSet(resources), problems, positions };
}

/** The same, with the problems that are reported. */
export function parseResources(files: readonly ResourceFile[], readings?: FileReadings): ParsedResources {
	const read = readResources(files, readings);
	return { ...read, problems: reported(read.problems, files) };
}

/**
 * Parses and cross-checks, for `weir validate` and `weir apply`.
 * @param readings as for parseResources()
 */
export function loadResources(files: readonly ResourceFile[], readings = new FileReadings()): ParsedResources {
	const read = readResources(files, readings);
	const problems = [...read.problems, ...checkResources(read.resources, read.positions)];
	return { ...read, problems: reported(problems, files) };
}

/** Parses stored files: what another namespace revoked since then causes no problem. */
export function loadHeldResources(files: readonly ResourceFile[]): ParsedResources {
	const read = readResources(files);
	const problems = [...read.problems, ...checkResources(read.resources, read.positions, () => true)];
	return { ...read, problems: reported(problems, files) };
}

/**
 * Cached sources of scalars of accepted resources. Other positions are parsed again, because they take more memory than
 * the text.
 */
const SOURCES = new WeakMap<Resource, Map<string, string | null>>();

/** Cached positions per file: stored files are checked with each change. */
const PLACES = new WeakMap<ResourceFile, DocumentPlaces>();

function acceptedPlaces(file: ResourceFile, resource: Resource): Places {
	const sources = SOURCES.get(resource) ?? new Map<string, string | null>();
	SOURCES.set(resource, sources);
	const source = (path: Path): string | null => {
		const key = path.join(".");
		const kept = sources.get(key);
		if (kept !== undefined) return kept;
		const found = placesOf(file).source(path);
		sources.set(key, found);
		return found;
	};
	return { nearest: (path) => placesOf(file).nearest(path), source };
}

function placesOf(file: ResourceFile): DocumentPlaces {
	const places = PLACES.get(file) ?? readYaml(file).documents[0]?.places ?? new DocumentPlaces();
	PLACES.set(file, places);
	return places;
}

function duplicateProblem(named: Named, document: YamlDocument, positions: Positions): Problem {
	const first = positions.at(named, ["metadata", "name"]);
	const where = first === null ? "" : ` at ${first.file}:${first.line}:${first.column}`;
	return {
		position: document.places.nearest(["metadata", "name"])?.position ?? null,
		message: `${resourceTitle(named)} is declared already${where}`,
		hint: "rename one of them, or remove it",
	};
}

/**
 * Problems sorted by file, line and column: at most PROBLEMS_MAX, and one that counts the rest. To be called once, with all.
 * @param files in the order of their problems; those of other files come last
 */
export function reported(
	problems: readonly Problem[],
	files: readonly { readonly name: string }[],
): readonly Problem[] {
	const order = new Map(files.map((file, index) => [file.name, index]));
	const rank = ({ position }: Problem): number =>
		position === null ? files.length + 1 : (order.get(position.file) ?? files.length);
	const sorted = [...problems].sort(
		(a, b) =>
			rank(a) - rank(b) ||
			(a.position?.line ?? 0) - (b.position?.line ?? 0) ||
			(a.position?.column ?? 0) - (b.position?.column ?? 0),
	);
	if (sorted.length <= PROBLEMS_MAX + 1) return sorted;
	const atLeast = sorted.length < PROBLEMS_FOUND_MAX ? "" : "at least ";
	const message = `and ${atLeast}${sorted.length - PROBLEMS_MAX} more problems`;
	return [...sorted.slice(0, PROBLEMS_MAX), { position: null, message, hint: "correct those above first" }];
}
