/** The mutation run: every mutant of the given files on trial, and what came of each. */
import { appendFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { type mutualTls, spiffe as spiffeId } from "../compile/access/mutualTls.js";
import { PRINCIPALS } from "../parity/declaration.js";
import { type Mutant, mutantsOf, mutate } from "./mutants.js";
import { askOwners, failingOwners, type Owner } from "./owners.js";
import type { Finding } from "./probeProcess.js";
import { createScene, type MutationExtent } from "./scene.js";
import { cloneWorkspace, createWorkspace, type Limits, type Workspace } from "./workspace.js";

export interface Verdict {
	readonly mutant: Mutant;
	/**
	 * killed: the suite notices. survived: Plan or answers changed, and nothing noticed. unchanged: for all generated
	 * inputs the Plan is the same, and so are all answers. unclear: the probe itself failed twice.
	 * invalid: it is no JavaScript, and so no mutant.
	 */
	readonly fate: "killed" | "survived" | "unchanged" | "unclear" | "invalid";
	/** By what it was killed; by an owner: by its name, e.g. `attack/trailers`. */
	readonly by: string | null;
	readonly because: string | null;
	readonly changed: readonly string[];
}

export interface MutationOptions {
	/** Of the repository, with its dist. */
	readonly root: string;
	readonly extent: MutationExtent;
	readonly tls: Awaited<ReturnType<typeof mutualTls>>;
	/** Of which files; mutatedFiles by default. */
	readonly files?: readonly string[];
	/** Which mutants are tried; all by default. */
	readonly choose?: (mutants: readonly Mutant[]) => readonly Mutant[];
	/** Asked about what the parity suite leaves alive; nobody by default. */
	readonly owners?: readonly Owner[];
	/** At once. */
	readonly workers?: number;
	/** Told of each verdict. */
	readonly progress?: (verdict: Verdict, done: number, of: number) => void;
	/** A file of JSON lines to which each verdict is added. */
	readonly log?: string;
}

const LIMITS: Limits = { cpuSeconds: 10, wallMs: 120_000 };
/**
 * The sidecar's own code is not in the Plan, so it is tried on Envoy even where no Plan has changed. What assignment
 * and access do is asked of them directly.
 */
const OUTSIDE_THE_PLAN = /^publish\/sidecar\//;

/** What of the access room decides; the rest checks and compares declarations, and has tests of its own. */
const ACCESS = [
	...["canonical", "path", "principal"].map((name) => `compile/access/requests/${name}.js`),
	...["pathPatterns", "policy", "prefixHash", "rule", "ruleIndex", "ruleTree", "selection", "table"].map(
		(name) => `compile/access/rules/${name}.js`,
	),
	"compile/access/users/claim.js",
];

/** Texts for people: nothing that Envoy or the sidecar gets. */
const TEXTS = /\/(?:explain|cost|problems)\.js$/;

/** The files that decide who gets what. */
export async function mutatedFiles(root: string): Promise<readonly string[]> {
	const of = async (room: string): Promise<readonly string[]> =>
		(await readdir(join(root, "dist", "src", room)))
			.filter((name) => name.endsWith(".js") && !TEXTS.test(`/${name}`))
			.map((name) => `${room}/${name}`);
	const sidecar = ["answer", "compiledTable", "cookie"].map((name) => `publish/sidecar/${name}.js`);
	const rooms = await Promise.all(["compile/envoy", "compile/table", "compile/assignment"].map(of));
	return [...rooms.flat(), "compile/compile.js", ...ACCESS, ...sidecar];
}

/** @throws Error where the code as it is does not pass */
export async function runMutation(options: MutationOptions): Promise<readonly Verdict[]> {
	const { root, extent, tls, choose = (all) => all, owners = [], workers = 1, progress = () => {}, log } = options;
	const workspace = await createWorkspace(root);
	try {
		const own = await Promise.all(
			PRINCIPALS.map(async (name) => [name, await tls.ca.issue({ spiffeId: spiffeId(name) })] as const),
		);
		const clients = { ca: tls.ca.certificate, own: Object.fromEntries(own) };
		await createScene({ directory: workspace.directory, extent, tls: tls.gateway, clients });
		const recorded = await workspace.probe("record", "", LIMITS);
		const baseline = findingOf(recorded.stdout);
		if (baseline === null || baseline.killed !== null) {
			throw new Error(`without any mutant the suite does not pass: ${baseline?.because ?? recorded.stderr}`);
		}
		const failing = await failingOwners(workspace, owners);
		if (failing.length > 0) throw new Error(`without any mutant these fail: ${failing.join(", ")}`);
		const mutants: Mutant[] = [];
		for (const file of options.files ?? (await mutatedFiles(root)))
			mutants.push(...mutantsOf(file, await workspace.read(file)));
		const queue = [...choose(mutants)].reverse();
		const total = queue.length;
		const verdicts: Verdict[] = [];
		const work = async (place: Workspace): Promise<void> => {
			for (let mutant = queue.pop(); mutant !== undefined; mutant = queue.pop()) {
				const verdict = await trial(place, mutant, owners);
				verdicts.push(verdict);
				if (log !== undefined) await appendFile(log, `${JSON.stringify(verdict)}\n`);
				progress(verdict, verdicts.length, total);
			}
		};
		const places = [workspace];
		while (places.length < workers) places.push(await cloneWorkspace(workspace));
		await Promise.all(places.map(work));
		return verdicts;
	} finally {
		await workspace.close();
	}
}

async function trial(workspace: Workspace, mutant: Mutant, owners: readonly Owner[]): Promise<Verdict> {
	await workspace.put(mutant.file, mutate(await workspace.read(mutant.file), mutant));
	const room = OUTSIDE_THE_PLAN.test(mutant.file) ? "sidecar" : "";
	const first = await attempt(workspace, mutant, room);
	const last = first.fate === "unclear" || isDoubtful(first) ? await attempt(workspace, mutant, room) : first;
	const verdict = await askOwners(workspace, last, owners);
	await workspace.put(mutant.file, null);
	return verdict;
}

/** What a busy machine can do by itself counts only if it happens twice. */
const isDoubtful = ({ fate, because }: Verdict): boolean =>
	fate === "killed" && /"verdict":"none"|ECONN|EPIPE|without an answer|became null/.test(because ?? "");

async function attempt(workspace: Workspace, mutant: Mutant, room: string): Promise<Verdict> {
	const { ended, code, stdout, stderr } = await workspace.probe("try", room, LIMITS);
	const finding = findingOf(stdout);
	const said = { mutant, changed: finding?.changed ?? [], because: finding?.because ?? null };
	if (finding !== null) {
		if (finding.killed !== null) return { ...said, fate: "killed", by: finding.killed };
		const differs = finding.changed.length > 0 || finding.answersChanged;
		return { ...said, fate: differs ? "survived" : "unchanged", by: null };
	}
	if (ended === "for CPU time") return { ...said, fate: "killed", by: "endless loop" };
	const error = stderr.split("\n").find((line) => /Error/.test(line)) ?? `ended with ${code}`;
	if (
		ended === "for wall time" ||
		ended === "from outside" ||
		/was not ready within|EADDR|ENOSPC|EMFILE/.test(stderr)
	) {
		return { ...said, fate: "unclear", by: null, because: ended === "by itself" ? error : ended };
	}
	if (/^SyntaxError: (?!Invalid regular)/m.test(stderr)) return { ...said, fate: "invalid", by: null, because: error };
	return { ...said, fate: "killed", by: "crash", because: error.slice(0, 200) };
}

function findingOf(stdout: string): Finding | null {
	const last = stdout.trimEnd().split("\n").at(-1) ?? "";
	return last.startsWith("{") ? JSON.parse(last) : null;
}
