/** The mutator: what it changes, and what it leaves alone. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { mutantsOf, mutate } from "./mutants.js";
import { mutatedFiles } from "./mutation.js";
import { OWNERS, testsOf } from "./owners.js";

const all = (source: string): readonly string[] =>
	mutantsOf("compiler/x.js", source).map((mutant) => mutate(source, mutant));

t.test("comparisons, arithmetic and logic", async (t) => {
	t.same(all("f(a < b);"), ["f(a <= b);", "f(a >= b);"]);
	t.same(all("f(a === b && c);"), ["f(a !== b && c);", "f(a === b || c);"]);
	t.same(all("f(a % b, !c, -d);"), ["f(a * b, !c, -d);", "f(a % b, (c), -d);", "f(a % b, !c, (d));"]);
	t.same(all("f(a ?? b);"), ["f((a));", "f((b));"]);
});

t.test("conditions and literals", async (t) => {
	t.same(all("f(a ? b : c);"), ["f(!(a) ? b : c);"]);
	t.same(all("f(true, 7, 0n);"), ["f(false, 7, 0n);", "f(true, 8, 0n);", "f(true, 6, 0n);", "f(true, 7, 1n);"]);
	t.same(all('f("x-weir-");'), ['f("x-weir-~");']);
	// biome-ignore lint/suspicious/noTemplateCurlyInString: the source of a template.
	t.same(all("f(`${salt}:`);"), ["f(`${salt}:~`);"]);
	t.same(all("f(/^[a-z]+$/);"), ["f(/[a-z]+$/);", "f(/^[a-z]+/);", "f(/^[a-y]+$/);"]);
	t.ok(all('f("^[!-+\\\\--~]+$");').includes('f("[!-+\\\\--~]+$");'), "a regular expression in a string");
});

t.test("members, elements, statements and calls", async (t) => {
	t.same(all("f({ a, ...b });"), ["f({ ...b });", "f({ a,  });"]);
	t.same(all("f([a, b]);"), ["f([b]);", "f([b, a]);", "f([a, ]);"]);
	t.same(all("function f() { if (a) return; g(); }").slice(0, 4), [
		"function f() { ; g(); }",
		"function f() { if (!(a)) return; g(); }",
		"function f() { if (a) ; g(); }",
		"function f() { if (a) return; ; }",
	]);
	t.same(all("f(a.filter(b), c.every(d));"), ["f(a, c.every(d));", "f(a.filter(b), c.some(d));"]);
});

t.test("imports, type URLs and texts for people stay as they are", async (t) => {
	t.same(all('import a from "a";'), []);
	t.same(all('const x = { "@type": "type.googleapis.com/a.B" };'), []);
	t.same(all('throw new Error("no");'), []);
	t.same(all('f("a text of several words");'), []);
});

t.test("every mutant of a real file is one change and says where", async (t) => {
	const source = "const a = 1;\nconst b = a === 1;\n";
	const [first] = mutantsOf("compiler/x.js", source).filter(({ operator }) => operator === "comparison");
	t.match(first, { file: "compiler/x.js", line: 2, change: "=== → !==" });
});

t.test("what is mutated exists, and every owner owns some of it", async (t) => {
	const root = join(import.meta.dirname, "../../..");
	const files = await mutatedFiles(root);
	for (const file of files) t.ok(existsSync(join(root, "dist/src", file)), file);
	for (const { file: owned } of OWNERS)
		t.ok(
			files.some((file) => owned.test(file)),
			String(owned),
		);
});

t.test("owners are test files, asked by file and by what changed, each once", async (t) => {
	for (const name of OWNERS.flatMap(({ tests }) => tests)) {
		t.ok(existsSync(join(import.meta.dirname, "..", `${name}.test.js`)), name);
	}
	const [mutant] = mutantsOf("compiler/x.js", "f(true);");
	if (mutant === undefined) throw new Error("no mutant");
	const asked = (...changed: readonly string[]) =>
		testsOf({ mutant, fate: "survived", by: null, because: null, changed }, [
			{ file: /^compiler\//, changed: /alpn/, tests: ["a/alpn"] },
			{ file: /^compiler\/x\.js$/, tests: ["a/all", "a/alpn"] },
			{ file: /^access\//, tests: ["a/other"] },
		]);
	t.same(asked("tls.alpn_protocols[]"), ["a/alpn", "a/all"]);
	t.same(asked("tls.name"), ["a/all", "a/alpn"]);
});
