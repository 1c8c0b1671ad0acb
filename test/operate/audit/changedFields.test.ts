/** Paths of changed fields: declared names, no values, bounded. */
import t from "tap";
import type { Resource } from "../../../src/declare/resources/resource.js";
import {
	CHANGED_FIELD_CHARS_MAX,
	CHANGED_FIELDS_MAX,
	changedFields,
} from "../../../src/operate/audit/changedFields.js";

const of = (spec: object): Resource => ({ spec }) as unknown as Resource;
const changed = (before: object, after: object): string => changedFields(of(before), of(after));

t.test("changed fields are named down to the third level, and lists as a whole", async (t) => {
	t.equal(changed({ a: 1 }, { a: 1 }), "");
	t.equal(
		changed({ rollout: { gates: [1], everyMs: 1 } }, { rollout: { gates: [2], everyMs: 2 } }),
		"spec.rollout.every, spec.rollout.gates",
	);
	t.equal(changed({ a: { b: { c: "secret" } } }, { a: { b: { c: "other" } } }), "spec.a.b");
	t.equal(changed({ tls: null, gone: 1 }, { tls: { from: "files" } }), "spec.gone, spec.tls");
});

t.test("the list of changed fields is bounded", async (t) => {
	const many = Object.fromEntries(
		Array.from({ length: CHANGED_FIELDS_MAX + 3 }, (_, i) => [`f${i}${"x".repeat(500)}`, i]),
	);
	const text = changed({}, many);
	t.match(text, / and 3 more$/);
	t.ok(text.length < CHANGED_FIELDS_MAX * (CHANGED_FIELD_CHARS_MAX + 2) + 20);
});
