/**
 * The statements that make aggregates, in real Spark and real ClickHouse (embedded, PyPI `chdb`), on the data and with
 * the oracle of test/events/aggregateSql.test.ts. Needs Python 3 and, for Spark, Java 17; the packages (1 GB) are kept in
 * ~/.cache/weir/engines. Skipped, with the reason, where they cannot be had.
 */
import { execFile } from "node:child_process";
import { access, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import t from "tap";
import { CLICKHOUSE, type Dialect, SPARK } from "../../src/events/evidence/dialect.js";
import { differences, expected, makeCase, statements } from "../events/aggregateCase.js";

const run = promisify(execFile);
const SCRIPT = fileURLToPath(new URL("../../../test/fixtures/engines/run.py", import.meta.url));
const ENGINES: readonly { readonly name: string; readonly packages: readonly string[]; readonly dialect: Dialect }[] = [
	{ name: "spark", packages: ["pyspark==3.5.3"], dialect: SPARK },
	{ name: "clickhouse", packages: ["chdb==4.4.0"], dialect: CLICKHOUSE },
];

// The first download takes minutes.
t.setTimeout(1_800_000);

/** The Python that has the packages. */
async function pythonWith(name: string, packages: readonly string[]): Promise<string> {
	const home = join(homedir(), ".cache/weir/engines", [name, ...packages].join("-").replaceAll("==", "-"));
	const python = join(home, "bin/python");
	const done = join(home, "done");
	if (
		await access(done).then(
			() => true,
			() => false,
		)
	)
		return python;
	await rm(home, { recursive: true, force: true });
	await mkdir(home, { recursive: true });
	await run("python3", ["-m", "venv", home]);
	await run(python, ["-m", "pip", "install", "--quiet", ...packages], { maxBuffer: 1 << 26 });
	await writeFile(done, "");
	return python;
}

for (const { name, packages, dialect } of ENGINES) {
	const found = await pythonWith(name, packages).then(
		(python) => ({ python, missing: false as const }),
		(thrown: unknown) => ({ python: "", missing: `no ${packages.join(", ")}: ${String(thrown).slice(0, 300)}` }),
	);
	t.test(`${name} answers as plain arithmetic does`, { skip: found.missing }, async (t) => {
		const data = makeCase();
		const directory = await mkdtemp(join(tmpdir(), "weir-engines-"));
		t.teardown(() => rm(directory, { recursive: true, force: true }));
		const file = join(directory, "case.json");
		const plain = (_: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);
		await writeFile(file, JSON.stringify({ ...data, statements: statements(dialect) }, plain));
		const { stdout } = await run(found.python, [SCRIPT, name, file], { maxBuffer: 1 << 28, cwd: directory });
		const line = stdout.split("\n").find((one) => one.startsWith("ANSWERS ")) ?? "";
		const answers = JSON.parse(line.slice("ANSWERS ".length)) as Readonly<
			Record<string, readonly Record<string, unknown>[]>
		>;
		t.comment(`${name} ${String(answers.version)}`);
		for (const [statement, rows] of Object.entries(expected(data))) {
			t.same(differences(answers[statement] ?? [], rows).slice(0, 5), [], `${statement}: ${rows.length} rows`);
		}
	});
}
