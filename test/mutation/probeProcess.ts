/**
 * One mutant on trial, in a process of its own: `node probeProcess.js DIRECTORY record|try [sidecar]`. First what needs
 * no Envoy: the compiled Plans against those of the code as it is, and the pure function against judge and oracle.
 * Then, where a Plan has changed (or the sidecar's own code), the parity suite on a real Envoy, form by form, up to
 * the first mismatch. The last line on stdout is the finding, as JSON; a crash is one too.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { compileAssignment, type Location } from "../../src/compile/assignment/assign.js";
import { parseUnit, trimUnit } from "../../src/compile/assignment/unit.js";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { staticBootstrap } from "../../src/compile/envoy/bootstrap.js";
import type { ExperimentTable, Plan } from "../../src/compile/table/plan.js";
import { qualifiedName } from "../../src/declare/resources/resource.js";
import type { Generated } from "../parity/declaration.js";
import type { Outcome } from "../parity/outcome.js";
import { predict } from "../parity/prediction.js";
import type { GeneratedRequest } from "../parity/requests.js";
import { changedPaths } from "./difference.js";
import { generatedFor, MINTED, readScene, requestsOf, spiffe } from "./scene.js";

/** In order of trial; the keys of the parity suite's FORMS. */
const FORMS = {
	native: { mode: "auto", protocol: "ext_authz" },
	ext_proc: { mode: "callout", protocol: "ext_proc" },
	ext_authz: { mode: "callout", protocol: "ext_authz" },
	"native, the rest by ext_proc": { mode: "auto", protocol: "ext_proc" },
} as const;
type FormName = keyof typeof FORMS;
const NAMES = Object.keys(FORMS) as readonly FormName[];
/** Where no Plan differs, for the sidecar's own code: some Services tell it the arm, others let it choose. */
const SIDECAR_FORMS: readonly FormName[] = ["native"];

export interface Finding {
	/** What noticed the mutant; null = nothing did. */
	readonly killed: "judge" | "oracle" | "Envoy refuses" | "Envoy answers otherwise" | null;
	/** The first mismatch. */
	readonly because: string | null;
	/** Where the Plans differ from those of the code as it is, as paths of fields; empty = nowhere. */
	readonly changed: readonly string[];
	/** Whether the pure function's answers differ. */
	readonly answersChanged: boolean;
}

/** What the code as it is does. */
interface Baseline {
	readonly plans: Readonly<Record<FormName, unknown>>;
	readonly answers: string;
	readonly canonical: readonly (readonly [string, string | null])[];
}

const [directory = "", task = "try", room = ""] = process.argv.slice(2);
const scene = await readScene(directory);
const baselineFile = join(directory, "baseline.json");

async function record(): Promise<void> {
	const { plans, answers, mismatch } = withoutEnvoy();
	const found = await import("./envoyTrial.js").then(({ tryOnEnvoy }) => tryOnEnvoy(scene, FORMS, NAMES, null, true));
	const because = mismatch ?? found.mismatch;
	const baseline: Baseline = { plans, answers, canonical: [...found.canonical] };
	await writeFile(baselineFile, JSON.stringify(baseline));
	report({ killed: because === null ? null : "judge", because, changed: [], answersChanged: false });
}

async function trial(): Promise<void> {
	const { plans, answers, mismatch, by } = withoutEnvoy();
	const baseline: Baseline = JSON.parse(await readFile(baselineFile, "utf8"));
	const differing = NAMES.filter((name) => JSON.stringify(plans[name]) !== JSON.stringify(baseline.plans[name]));
	const changed = [...new Set(differing.flatMap((name) => changedPaths(baseline.plans[name], plans[name])))];
	const finding = { changed: changed.slice(0, 40), answersChanged: answers !== baseline.answers };
	if (mismatch !== null) return report({ killed: by, because: mismatch, ...finding });
	const forms = differing.length > 0 || room !== "sidecar" ? differing : SIDECAR_FORMS;
	if (forms.length === 0) return report({ killed: null, because: null, ...finding });
	const { tryOnEnvoy } = await import("./envoyTrial.js");
	const { mismatch: because, refused } = await tryOnEnvoy(scene, FORMS, forms, new Map(baseline.canonical), false);
	const killed = because === null ? null : refused ? "Envoy refuses" : "Envoy answers otherwise";
	report({ killed, because, ...finding });
}

function report(finding: Finding): void {
	process.stdout.write(`\n${JSON.stringify(finding)}\n`, () => process.exit(0));
}

function withoutEnvoy() {
	const generated = generatedFor(scene, [1, 2, 3]);
	const requests = requestsOf(scene, generated);
	const compiled = Object.fromEntries(
		NAMES.map((name) => [
			name,
			compile(generated.resources, generated.status, { collectors: NO_COLLECTORS, ...FORMS[name] }),
		]),
	) as unknown as Readonly<Record<FormName, Plan>>;
	const plans = Object.fromEntries(NAMES.map((name) => [name, seenOf(compiled[name])])) as Record<FormName, unknown>;
	const outcomes = requests.map((request) => predictions(generated, compiled.native, request));
	const wrong = requests.flatMap((request, index) => {
		const judged = JSON.stringify(scene.judged[index]);
		const other = outcomes[index]?.find((outcome) => JSON.stringify(outcome) !== judged);
		const { method, path, values } = request;
		return other === undefined
			? []
			: [
					`${method} ${path} ${JSON.stringify(values)}: the judge says ${judged}, the function ${JSON.stringify(other)}`,
				];
	});
	const byOracle = assignmentMismatch(generated, compiled.native);
	return {
		plans,
		answers: JSON.stringify([outcomes, byOracle.locations]),
		mismatch: wrong[0] ?? byOracle.mismatch,
		by: wrong.length > 0 ? ("judge" as const) : ("oracle" as const),
	};
}

/** All of a Plan that Envoy and the sidecar get. */
const seenOf = (plan: Plan): unknown => ({
	bootstrap: staticBootstrap(plan.envoy, {
		collectors: NO_COLLECTORS,
		adminSocket: "/admin.sock",
		nodeId: "test",
		sidecarSocket: plan.asksSidecar ? "/sidecar.sock" : null,
	}),
	version: plan.version,
	table: plan.table,
	problems: plan.problems,
});

/** By the Service's name and by its host: the same answer. */
const predictions = (generated: Generated, plan: Plan, request: GeneratedRequest): readonly Outcome[] =>
	[false, true].map((byHost) =>
		predict(generated, plan, request, { path: request.path, minted: MINTED, spiffe, byHost }),
	);

/** Both ways of asking an assignment, and both readers of units, against the oracle. */
function assignmentMismatch(generated: Generated, plan: Plan): { mismatch: string | null; locations: unknown } {
	let mismatch: string | null = null;
	const locations: unknown[] = [];
	const compiled = new Map<unknown, ReturnType<typeof compileAssignment>>();
	for (const { subject, experiment, values, wanted, point, slotPoint } of scene.assignments) {
		const service = generated.subjects[subject]?.service;
		const own = plan.table.services.find(
			({ name }) => service !== undefined && name === qualifiedName(service.metadata),
		);
		const table = own?.experiments[experiment];
		if (table === undefined) return { mismatch: "an Experiment is missing", locations };
		const assignment = compiled.get(table) ?? compileAssignment(table);
		compiled.set(table, assignment);
		const [value, more] = values;
		const bytes = value === undefined || more !== undefined ? null : Buffer.from(value, "latin1");
		const unit = bytes === null ? null : parseUnit(trimUnit(bytes));
		const asText = value === undefined || more !== undefined ? null : parseUnit(trimUnit(value));
		const location = unit === null ? null : assignment.locate(unit);
		const arm = more === undefined ? assignment.arm(unit ?? value ?? "") : null;
		locations.push([unit, asText, location, arm]);
		const live = location?.live ? location.region : null;
		const said =
			location === null
				? null
				: {
						arm: (location.takenOver ? table.takeover?.arm : live) ?? "-",
						variant: location.variant,
						inSlot: location.inSlot,
					};
		const text = more === undefined ? (value ?? "") : "";
		const sound =
			assignment.experiment === table.name &&
			(unit === null ? assignment.locate(text) === null : isSound(location, { table, point, slotPoint }));
		if (JSON.stringify(said) !== JSON.stringify(wanted) || arm !== live || unit !== asText || !sound) {
			mismatch ??= `${table.name} ${JSON.stringify(values).slice(0, 80)}: the oracle says ${JSON.stringify(wanted)}, the table ${JSON.stringify(said)}, arm() ${arm}`;
		}
	}
	return { mismatch, locations };
}

/** All that a Location says beside arm and Variant. */
function isSound(
	location: Location | null,
	{ table, point, slotPoint }: { table: ExperimentTable; point: number; slotPoint: number },
): boolean {
	if (location === null) return false;
	const whole = table.slotLoPpm === 0 && table.slotHiPpm === 1_000_000;
	if (location.point !== point || location.slotPoint !== (whole ? null : slotPoint)) return false;
	// Outside the slot there is no region to lie in.
	if (!location.inSlot) return location.region === null && location.live === false && location.takenOver === false;
	const region = table.arms.find(({ loPpm, hiPpm }) => point >= loPpm && point < hiPpm);
	if (region === undefined || location.region !== region.name) return false;
	const live = point < region.loPpm + region.livePoints;
	return location.live === live;
}

if (task === "record") await record();
else await trial();
