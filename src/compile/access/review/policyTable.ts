/** Tables of requests with expected verdicts: strict YAML, every error with its position. */

import { schemaProblems } from "../../../declare/resources/faults.js";
import type { Position, Problem } from "../../../declare/resources/resource.js";
import { policyTests } from "../../../declare/resources/schemas/policyTests.js";
import { readYaml, type YamlDocument } from "../../../declare/resources/yaml/yaml.js";
import { PROBLEMS_MAX } from "../../../limits/index.js";
import type { JudgedRequest, PolicyJudge } from "./policyCheck.js";
import type { PolicyRequest } from "./policyRequest.js";

export interface PolicyTest {
	readonly name: string;
	readonly position: Position | null;
	/** nowMs null = the table does not name a time. */
	readonly request: Omit<PolicyRequest, "nowMs"> & { readonly nowMs: number | null };
	readonly expect: {
		readonly allowed: boolean;
		/** null = any. */
		readonly reason: JudgedRequest["reason"] | null;
		/** undefined = any; null = none. */
		readonly policy: string | null | undefined;
	};
}

export interface PolicyTests {
	readonly tests: readonly PolicyTest[];
	readonly problems: readonly Problem[];
}

/** Never throws. If it has problems, the tests must not be used. */
export function readPolicyTests(file: { readonly name: string; readonly text: string }): PolicyTests {
	const yaml = readYaml(file, "write tests: with a list of {name, request, expect}");
	const read = yaml.documents.map(readTable);
	return {
		tests: read.flatMap(({ tests }) => tests),
		problems: [...yaml.problems, ...read.flatMap(({ problems }) => problems)].slice(0, PROBLEMS_MAX),
	};
}

function readTable(document: YamlDocument): PolicyTests {
	const { success, data, error } = policyTests.safeParse(document.value);
	if (!success) return { tests: [], problems: schemaProblems(error.issues, document) };
	const positionOf = (index: number) => document.places.nearest(["tests", index])?.position ?? null;
	return { tests: data.tests.map((test, index) => ({ ...test, position: positionOf(index) })), problems: [] };
}

const KNOWN_SHOWN = 10;

/** Invalid requests: undeclared names, clients that no Gateway accepts, a missing time. */
export function testFaults(tests: readonly PolicyTest[], judge: PolicyJudge): readonly Problem[] {
	return tests.flatMap(({ name, position, request, expect }) => {
		const undeclared = judge
			.undeclared(request)
			.filter(({ field }) => (field !== "service" && field !== "host") || expect.reason !== "unknown-service");
		if (undeclared.length > 0)
			return undeclared.map(({ field, name, known }) => ({
				position,
				message: `there is no ${field} ${JSON.stringify(name)}`,
				hint: known.length === 0 ? "none is declared" : `declared are ${known.slice(0, KNOWN_SHOWN).join(", ")}`,
			}));
		const refusals = judge.refusals(request);
		if (refusals.length > 0)
			return [{ position, message: "no Gateway accepts this client", hint: refusals.slice(0, KNOWN_SHOWN).join("; ") }];
		const gateways = request.nowMs === null ? judge.gatewaysOf(request) : [];
		if (!gateways.some((gateway) => judge.dependsOnTime({ ...request, gateway }))) return [];
		const message = `the verdict of "${name}" depends on the time`;
		return [{ position, message, hint: "add time: to its request, so that it is the same tomorrow" }];
	});
}
