/** Declarations of any operator. Reading them throws nothing unexpected, and its time is bounded by their length. */
import { parseResources } from "../../src/declare/resources/parse.js";
import type { Target } from "./target.js";

const SERVICE = `apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: a}
spec:
  hosts: [a.example]
  defaultVariant: &v v1
  variants:
    - name: *v
      endpoints: [{address: 10.0.0.1, port: 8080}] # the only one
`;

function declaration(input: Buffer): void {
	parseResources([{ name: "fuzz.yaml", text: input.toString("utf8") }]);
}

/** Repeats the end of the input: quadratic parsers show only on long inputs. */
function repeated(input: Buffer): void {
	const before = input.subarray(0, -8).toString("utf8");
	const each = input.subarray(-8).toString("utf8");
	parseResources([{ name: "fuzz.yaml", text: before + each.repeat(2_000) }]);
}

const texts = (...values: readonly string[]): readonly Buffer[] => values.map((value) => Buffer.from(value));

export const RESOURCE_TARGETS: readonly Target[] = [
	{
		name: "declaration",
		seeds: texts(SERVICE, `${SERVICE}---\nkind: Layer\nspec: |\n  a\n`, '{"kind":"Layer","spec":{}}'),
		weight: 1,
		run: declaration,
	},
	{
		name: "declaration-repeated",
		seeds: texts("a: b\n}", "a:\n - b\n\n\n\n #\n", "a: [{},", "? a\n: *b\n", "%a\n---\n", "- 'x\n''", '- "\\"'),
		weight: 0.2,
		run: repeated,
	},
];
