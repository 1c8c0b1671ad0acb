/**
 * The modules that a process loads before it can answer: a package costs 50 to 250 ms of each start, and `weir up` starts five
 * processes. A later `await import` costs only the processes that need it.
 */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import t from "tap";

const SOURCE = resolve(import.meta.dirname, "../../src");

/** The packages that a compiled file imports at its start, directly and through other files. */
async function packagesOf(file: string): Promise<ReadonlySet<string>> {
	const seen = new Set<string>([file]);
	const packages = new Set<string>();
	for (const one of seen) {
		const text = await readFile(one, "utf8");
		for (const [, imported, required] of text.matchAll(
			/^(?:import|export)\s[^;"']*?["']([^"']+)["'];$|__require\("([^"]+)"\)/gm,
		)) {
			const from = imported ?? required ?? "";
			if (from.startsWith(".")) seen.add(resolve(one, "..", from));
			else packages.add(from);
		}
	}
	return packages;
}

const SCHEMAS = ["zod", "yaml"];
const TRACING = ["@opentelemetry/sdk-trace-node", "@opentelemetry/exporter-trace-otlp-proto"];

for (const [file, without] of [
	["cli/main.js", [...SCHEMAS, ...TRACING, "@grpc/grpc-js", "prom-client"]],
	["cli/commands/operate.js", [...SCHEMAS, "@grpc/grpc-js", "jstat"]],
	["cli/commands/control.js", [...SCHEMAS, ...TRACING, "lmdb", "@duckdb/node-api"]],
	["cli/commands/ca.js", SCHEMAS],
	["cli/commands/envoy.js", SCHEMAS],
	["cli/commands/sidecar.js", [...SCHEMAS, ...TRACING, "@grpc/grpc-js"]],
	["cli/roles/ingest.js", [...SCHEMAS, ...TRACING]],
	["cli/roles/publisher.js", SCHEMAS],
	["cli/roles/rollout.js", SCHEMAS],
] as const) {
	t.test(file, async (t) => {
		const loaded = await packagesOf(join(SOURCE, file));
		t.ok(loaded.size > 0, "it finds imports");
		for (const one of without) t.notOk(loaded.has(one), one);
	});
}

t.test("only processes that read declarations load the schemas", async (t) => {
	t.ok((await packagesOf(join(SOURCE, "declare/resources/parse.js"))).has("zod"));
	t.ok((await packagesOf(join(SOURCE, "observe/events/store/store.js"))).has("@duckdb/node-api"), "by require, too");
});
