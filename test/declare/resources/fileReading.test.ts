/** A file that is parsed more than once is read once, and counts each time. */
import t from "tap";
import { FileReadings } from "../../../src/declare/resources/fileReading.js";
import { parseResources } from "../../../src/declare/resources/parse.js";
import { RESOURCE_TOKENS_MAX, tokenBudget } from "../../../src/declare/resources/yaml/tokens.js";
import { METRIC } from "../../operate/employment.js";

const FILE = { name: "metric.yaml", text: `# first\n---\n${METRIC}` };

t.test("a second parse of a file gives the same objects with their lines", async (t) => {
	const readings = new FileReadings();
	const [first, second] = [parseResources([FILE], readings), parseResources([FILE], readings)];
	t.equal(first.problems.length, 0);
	t.equal(second.resources.metrics[0], first.resources.metrics[0]);
	t.not(parseResources([FILE]).resources.metrics[0], first.resources.metrics[0], "which another reading does not");
	t.same(
		readings.resources(FILE).map(({ resource, line }) => [resource.metadata.name, line]),
		[["accuracy", FILE.text.split("\n").findIndex((line) => line.startsWith("apiVersion")) + 1]],
	);
});

t.test("a second parse counts in full in each budget", async (t) => {
	const readings = new FileReadings();
	const [first, second] = [tokenBudget(), tokenBudget()];
	readings.yaml(FILE, first);
	readings.yaml(FILE, second);
	t.ok(first.left < RESOURCE_TOKENS_MAX);
	t.equal(second.left, first.left);
});

t.test("a file beyond a budget is refused for that budget only", async (t) => {
	const readings = new FileReadings();
	const small = () => ({ left: 10 });
	t.match(readings.yaml(FILE, small()).problems, [{ message: /YAML tokens/ }]);
	t.same(readings.yaml(FILE, tokenBudget()).problems, []);
	t.match(readings.yaml(FILE, small()).problems, [{ message: /YAML tokens/ }]);
});

t.test("accepted documents of a text are not parsed again", async (t) => {
	const [accepted] = parseResources([FILE]).resources.metrics;
	if (accepted === undefined) throw new Error("no Metric");
	let looks = 0;
	const stored = {
		name: "stored Metric accuracy",
		accepted,
		get text() {
			looks++;
			return FILE.text;
		},
	};
	t.equal(parseResources([stored]).resources.metrics[0], accepted);
	t.equal(looks, 0);
});
