/** The problems of a change: sorted by place, and counted once. */
import t from "tap";
import { resourceSet } from "../../../src/declare/resources/kinds.js";
import { changeSetOf } from "../../../src/operate/changes/changeSet.js";
import { experiment, file, METRIC } from "../employment.js";

const problemsOf = (documents: readonly string[]): readonly string[] => {
	const empty = {
		...{ stored: [], resources: resourceSet([]), status: { experiments: {}, services: {} } },
		...{ used: () => undefined, controlListeners: [], allowLocalGates: false },
	};
	const change = { files: file(documents.join("---\n")), deletions: [] };
	return changeSetOf(empty, change, 0).problems.map(({ message }) => message);
};

const FAULTY = METRIC.replace("type: rate", "type: none");
const UNKNOWN_SERVICE = /unknown Service "employment"/;

t.test("faults of the texts and of the cross-check are sorted together, and the rest is counted right", async (t) => {
	const faulty = (count: number) => Array.from({ length: count }, (_, at) => FAULTY.replace("accuracy", `m${at}`));
	const sound = [METRIC, experiment("boosted")];
	t.match(problemsOf(sound), [UNKNOWN_SERVICE]);
	const first = problemsOf([...sound, ...faulty(1_500)]);
	t.match([first.length, first[0], first.at(-1)], [201, UNKNOWN_SERVICE, "and 1301 more problems"]);
	const last = problemsOf([...faulty(1_500), ...sound]);
	t.match([last.length, last.at(-1)], [201, "and 1301 more problems"]);
	t.notMatch(last.join("\n"), UNKNOWN_SERVICE);
	// Reading stops at 2,000.
	t.match(problemsOf([...sound, ...faulty(2_000)]), { 0: UNKNOWN_SERVICE, 200: "and at least 1801 more problems" });
});
