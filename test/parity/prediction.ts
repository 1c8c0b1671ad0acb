/** What the pure function says of a generated request: src/sidecar/answer.ts, asked without any wire. */
import type { Plan } from "../../src/compiler/plan.js";
import { qualifiedName } from "../../src/resources/resource.js";
import { answer } from "../../src/sidecar/answer.js";
import { type CompiledTable, compileTable } from "../../src/sidecar/compiledTable.js";
import { spiffe } from "../access/mutualTls.js";
import { headerValues, type RawResponse } from "../envoy/pipeline.js";
import type { Generated } from "./declaration.js";
import type { GeneratedRequest } from "./requests.js";

/** What can be seen of a request from outside. */
export interface Outcome {
	readonly verdict: "allow" | "deny" | "none";
	readonly reason: string;
	/** AccessPolicy that denied; allows are not named natively. */
	readonly policy: string | null;
	/** Sorted values of the response header x-weir-arm; null where denied. */
	readonly arms: readonly string[] | null;
	readonly variant: string | null;
	/** x-weir-arm and parameters as the upstream got them; null where denied. */
	readonly sent: readonly string[] | null;
	readonly leaked?: true;
}

const tables = new WeakMap<Plan, CompiledTable>();

/** @param path canonical, as Envoy hands it on */
export function predict(
	generated: Generated,
	plan: Plan,
	request: GeneratedRequest,
	path: string,
	response: RawResponse,
): Outcome {
	const table = tables.get(plan) ?? compileTable(pure(plan));
	tables.set(plan, table);
	const { subject } = request;
	const unit = subject.unit;
	const values = (name: string): readonly string[] => {
		if (unit.from === "cookie") return name === "cookie" ? request.values : [];
		if (name === "cookie") return [];
		// Envoy takes the blanks around a header's value away; a claim's are the claim's own.
		return unit.from === "claim"
			? request.values
			: request.values.map((value) => value.replace(/^[ \t]+|[ \t]+$/g, ""));
	};
	const { ruling } = answer(
		{
			tables: { get: () => table },
			freshness: { ageMs: () => 0 },
			// The unit that was minted is read off the response, as a browser would.
			mint: () => mintedUnit(response) ?? "not-minted",
		},
		{
			plan: null,
			service: qualifiedName(subject.service.metadata),
			host: "",
			method: request.method,
			path,
			principal: spiffe(request.who),
			assigned: null,
			exposeArm: generated.resources.gateways[0]?.spec.exposeArm ?? false,
			secure: true,
			header: (name) => {
				const all = values(name);
				return all.length === 0 ? null : all.join(",");
			},
			headerValues: values,
		},
	);
	const allowed = ruling.verdict === "allow";
	const parameters = Object.entries(ruling.parameters).map(([name, value]) => `${name}: ${value}`);
	return {
		verdict: ruling.verdict,
		reason: ruling.reason,
		policy: allowed ? null : ruling.policy,
		arms: allowed ? [...(ruling.exposedArms ?? [])].sort() : null,
		variant: allowed ? ruling.variant : null,
		sent: allowed
			? [...(ruling.armHeader === null ? [] : [`x-weir-arm: ${ruling.armHeader}`]), ...parameters].sort()
			: null,
	};
}

/** The plan as if the sidecar did everything: the function decides access whoever executes it. */
function pure(plan: Plan): Pick<Plan, "version" | "table"> {
	const services = plan.table.services.map((service) => ({
		...service,
		callout: {
			verdict: true,
			assignment: true,
			onFailure: "deny" as const,
			maxStalenessMs: 1,
			onStale: "deny" as const,
		},
	}));
	return { version: plan.version, table: { services } };
}

const mintedUnit = (response: RawResponse): string | null =>
	headerValues(response, "set-cookie")
		.map((value) => /^weir_id=([^;]+)/.exec(value)?.[1] ?? null)
		.find((unit) => unit !== null) ?? null;

/** The unit's text by the test's own reading of the request; null = none. Blanks around a claim make it none. */
export function unitText({ subject, values }: GeneratedRequest, response: RawResponse): string | null {
	const [value, more] = values;
	if (subject.unit.from === "header") return more === undefined ? (value ?? null) : null;
	if (subject.unit.from === "claim") return value === undefined || value.trim() !== value ? null : value;
	const { cookie } = subject.unit;
	const pairs = (value ?? "").split(";").map((pair) => pair.replace(/^[ \t]+|[ \t]+$/g, ""));
	const own = pairs.filter((pair) => pair.startsWith(`${cookie}=`)).map((pair) => pair.slice(cookie.length + 1));
	if (own.length > 1) return null;
	const [sent] = own;
	const valid = sent !== undefined && /^[!-+\--~]+$/.test(sent);
	return valid ? sent : mintedUnit(response);
}
