/** Planned looks as a table: what each saw, and the line that it had to reach. */
import { plain, pValue, scaleOf, size, utc } from "../format.js";
import { html, type Markup } from "../markup.js";
import type { PlannedLookReport } from "../plannedLooks.js";
import type { Report } from "../report.js";
import { people } from "./chart.js";
import { named, table } from "./table.js";

/** null where the design has none. */
export function looksTable({ looks, experiment, metrics }: Report): Markup | null {
	const { goal, rollout } = experiment.spec;
	if (rollout.inference.design === "sequential" || goal === null) return null;
	const scale = scaleOf(metrics[goal.metric], goal.improveBy.kind === "relative");
	const several = looks.some(({ arms }) => arms.length > 1);
	const rows = looks.flatMap((look) =>
		look.arms.map(({ arm, units, boundary, z, proved, test, holm }) => [
			`${look.number}, ${utc(look.atMs)}`,
			named(arm),
			people(units),
			test === null ? "–" : TESTS[test.test](test.degreesOfFreedom),
			test === null ? "–" : size(scale, test.improvement),
			test === null || test.lower === null ? "–" : size(scale, test.lower),
			z === null ? "untested" : plain(z, 4),
			Number.isFinite(boundary) && boundary < 1e6 ? plain(boundary, 4) : "none",
			test === null ? "–" : `${pValue(test.pValue)}${several && holm !== null ? ` (Holm ${pValue(holm)})` : ""}`,
			proved ? html`<span class="chip good">✓ proved</span>` : "not proved",
		]),
	);
	const note = html`<p class="note">The goal is proved only by ${kindOf(rollout.inference.design)}, not by its interval above; harm and guardrails are tested continuously.</p>`;
	if (rows.length === 0) return html`${note}<p class="wide">No planned look has been taken yet.</p>`;
	return html`${note}${table(`Planned looks at ${goal.metric}`, COLUMNS, rows)}
<p class="soft wide">“At least” is valid at all planned looks together: plan, goal and alpha cannot be changed while the Experiment runs. p is the p-value of that look${several ? ", with Holm’s correction for all arms" : ""}.</p>`;
}

const kindOf = (design: string): string => (design === "fixed-horizon" ? "one planned look" : "planned looks");

const TESTS: Readonly<
	Record<NonNullable<PlannedLookReport["arms"][number]["test"]>["test"], (df: number | null) => string>
> = {
	score: () => "score test",
	welch: (df) => (df === null ? "z test" : `Welch’s t, ${plain(df, 5)} degrees of freedom`),
};

const COLUMNS = [
	{ head: "Look" },
	{ head: "Arm", className: "name" },
	{ head: "People", className: "n" },
	{ head: "Test" },
	{ head: "Improvement", className: "n" },
	{ head: "At least", className: "n" },
	{ head: "z", className: "n" },
	{ head: "Boundary", className: "n" },
	{ head: "p", className: "n" },
	{ head: "" },
] as const;
