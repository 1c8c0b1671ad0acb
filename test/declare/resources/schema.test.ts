import t from "tap";
import { KINDS } from "../../../src/declare/resources/kinds.js";
import { jsonSchema } from "../../../src/declare/resources/schema.js";

interface Schema {
	readonly [keyword: string]: unknown;
	readonly properties?: Readonly<Record<string, Schema>>;
	readonly required?: readonly string[];
	readonly $defs?: Readonly<Record<string, Schema>>;
}

const schema = jsonSchema() as Schema;

t.test("the schema is JSON Schema 2020-12 with one definition per kind", async (t) => {
	t.same(JSON.parse(JSON.stringify(schema)), schema);
	t.equal(schema.$schema, "https://json-schema.org/draft/2020-12/schema");
	t.same(Object.keys(schema.$defs ?? {}), [...KINDS]);
});

t.test("every mapping of fixed fields is closed, and defaults are optional", async (t) => {
	const open: string[] = [];
	const visit = (node: unknown, path: string): void => {
		if (typeof node !== "object" || node === null) return;
		const { type, properties, additionalProperties } = node as Schema;
		if (type === "object" && properties !== undefined && additionalProperties !== false) open.push(path);
		for (const [key, value] of Object.entries(node)) visit(value, `${path}/${key}`);
	};
	visit(schema.$defs, "");
	t.same(open, []);
	const spec = schema.$defs?.Experiment?.properties?.spec;
	t.same([...(spec?.required ?? [])].sort(), ["arms", "layer", "rollout", "service", "unit"]);
	t.same(spec?.properties?.rollout?.required, ["steps"]);
	t.equal(schema.$defs?.Gateway?.properties?.spec?.properties?.address?.default, "127.0.0.1");
	t.equal(spec?.properties?.rollout?.properties?.every?.default, "1m");
});

t.test("the schema allows exactly one source of a unit", async (t) => {
	const unit = schema.$defs?.Experiment?.properties?.spec?.properties?.unit;
	t.match(unit, { type: "object", minProperties: 1, maxProperties: 1, additionalProperties: false });
	t.same(Object.keys(unit?.properties ?? {}), ["header", "claim", "cookie"]);
	t.equal(unit?.required, undefined);
});
