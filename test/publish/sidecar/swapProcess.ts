/** A process that takes many large tables, one after another, and reports its memory. */
import { contentHash } from "../../../src/compile/assignment/hash.js";
import { type CompiledTable, compileTable } from "../../../src/publish/sidecar/compiledTable.js";
import { keepHeapSmall } from "../../../src/publish/sidecar/grpc/heap.js";
import { readTable } from "../../../src/publish/sidecar/tableReader.js";
import { Tables } from "../../../src/publish/sidecar/tables.js";
import { arm, experimentTable, serviceTable } from "./calloutTable.js";

const [, , swaps = "", services = ""] = process.argv;
keepHeapSmall();
const tables = new Tables<CompiledTable>({ compile: compileTable });
const halves = [arm("a", "v1", 0, 500_000), arm("b", "v2", 500_000, 1_000_000)];
for (let swap = 0; swap < Number(swaps); swap++) {
	const json = JSON.stringify({
		gateways: [],
		services: Array.from({ length: Number(services) }, (_, index) =>
			serviceTable(`s${index}`, {
				experiments: [experimentTable(`e${index}`, halves)],
				access: {
					open: false,
					policies: Array.from({ length: 5 }, (_, policy) => ({
						name: `p${policy}`,
						action: "allow" as const,
						principals: Array.from({ length: 10 }, (_, caller) => `spiffe://x.test/a${caller}-${policy}-${swap}`),
						methods: ["GET"],
						pathPrefixes: ["/v2"],
						variants: [],
						shadow: false,
						more: null,
					})),
				},
			}),
		),
	});
	tables.put(readTable(contentHash(json), json));
	// One Service of ten gets a request, as under traffic.
	for (let index = 0; index < Number(services); index += 10) tables.get(null)?.service(`s${index}`)?.place("u");
}
process.send?.({ rssMiB: process.memoryUsage.rss() / 2 ** 20 });
