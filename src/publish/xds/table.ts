/** The plan's executable table as an xDS resource. Its type is Weir's own. */
import { create, toBinary } from "@bufbuild/protobuf";
import type { CompiledPlan } from "../../compile/plan/compiledPlan.js";
import { TableSchema } from "../../gen/weir/sidecar/v1/table_pb.js";
import { contentHash, type EncodedResource, NO_REFERENCES, type Part, TYPE_URLS } from "./resource.js";

/** Name of the only resource of the type. */
export const TABLE_NAME = "plan";

/** The JSON is exactly the text that the version is a hash of, so a sidecar can verify it. */
export function encodeTable({ table, version }: Pick<CompiledPlan, "table" | "version">): EncodedResource {
	const json = new TextEncoder().encode(JSON.stringify(table));
	const bytes = toBinary(TableSchema, create(TableSchema, { version, json }));
	return {
		name: TABLE_NAME,
		hash: contentHash(bytes),
		typeUrl: TYPE_URLS.tables,
		bytes,
		source: `plan ${version}`,
		...NO_REFERENCES,
		endpoints: null,
		hosts: [],
		checkTimeoutMs: null,
		parts: table.services.flatMap(({ name, experiments }): readonly Part[] => [
			{ name: `Service ${name}`, source: `Service ${name}`, hash: "" },
			// A sidecar's error message names both. The longest name that it contains is the closest one.
			...experiments.map((experiment) => ({
				name: `Service ${name}, Experiment ${experiment.name}`,
				source: `Experiment ${experiment.name}`,
				hash: "",
			})),
		]),
	};
}
