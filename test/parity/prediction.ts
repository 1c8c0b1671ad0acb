/** The pure function's result for a generated request: src/publish/sidecar/answer.ts, called without a network. */
import type { CompiledPlan } from "../../src/compile/plan/compiledPlan.js";
import { qualifiedName } from "../../src/declare/resources/resource.js";
import { answer } from "../../src/publish/sidecar/answer.js";
import { type CompiledTable, compileTable } from "../../src/publish/sidecar/compiledTable.js";
import { NOBODY_ASKED } from "../publish/sidecar/question.js";
import { ANONYMOUS, type Generated, PLAIN_GATEWAY } from "./declaration.js";
import { served } from "./judge.js";
import type { Outcome } from "./outcome.js";
import type { GeneratedRequest } from "./requests.js";

const tables = new WeakMap<CompiledPlan, CompiledTable>();

/**
 * @param path canonical, as Envoy hands it on
 * @param minted the unit that was minted, read off the response as a browser would
 * @param byHost as an Envoy asks that is not ours: the Service is found by the request's host
 */
export function predict(
	{ resources }: Pick<Generated, "resources">,
	plan: CompiledPlan,
	request: GeneratedRequest,
	{
		path,
		minted,
		spiffe,
		byHost = false,
	}: {
		readonly path: string;
		readonly minted: string | null;
		readonly spiffe: (who: string) => string;
		readonly byHost?: boolean;
	},
): Outcome {
	const table = tables.get(plan) ?? compileTable(pure(plan));
	tables.set(plan, table);
	const { subject } = request;
	const values = (name: string): readonly string[] => valuesOf(request, name);
	const { ruling, setCookie } = answer(
		{
			tables: { get: () => table },
			freshness: { ageMs: () => 0 },
			mint: () => minted ?? "not-minted",
			...NOBODY_ASKED,
		},
		{
			plan: null,
			service: byHost ? null : qualifiedName(subject.service.metadata),
			gateway: byHost ? null : request.gateway,
			sourceAddress: null,
			certificateThumbprint: null,
			host: `${request.host.toUpperCase()}:8443`,
			method: request.method,
			path,
			principal: request.who === ANONYMOUS ? null : spiffe(request.who),
			assigned: null,
			exposeArm: resources.gateways.find(({ metadata }) => metadata.name === request.gateway)?.spec.exposeArm ?? false,
			secure: request.gateway !== PLAIN_GATEWAY,
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
		variant: allowed ? served(subject, ruling.variant ?? "") : null,
		sent: allowed
			? [...(ruling.armHeader === null ? [] : [`x-weir-arm: ${ruling.armHeader}`]), ...parameters].sort()
			: null,
		cookie: allowed ? setCookie : null,
	};
}

/** The values under a header's name, as far as they may hold the unit. */
function valuesOf({ subject: { unit }, values }: GeneratedRequest, name: string): readonly string[] {
	if (unit.from === "cookie") return name === "cookie" ? values : [];
	if (name !== headerOf(unit)) return [];
	// Envoy takes the blanks around a header's value away; a claim's are the claim's own.
	return unit.from === "claim" ? values : values.map((value) => value.replace(/^[ \t]+|[ \t]+$/g, ""));
}

/** Headers of the generated claims. */
const headerOf = (unit: Exclude<GeneratedRequest["subject"]["unit"], { from: "cookie" }>): string =>
	unit.from === "header" ? unit.header : `x-weir-claim-${unit.claim.replace(".", "-2e").replace("_", "-5f")}`;

/** The plan as if the sidecar did everything: access decisions do not depend on the execution. */
function pure(plan: CompiledPlan): Pick<CompiledPlan, "version" | "table"> {
	const services = plan.table.services.map((service) => ({
		...service,
		callout: {
			verdict: true,
			assignment: true,
			onFailure: "deny" as const,
			maxStalenessMs: 1,
			onStale: "deny" as const,
			sign: false,
		},
	}));
	return { version: plan.version, table: { gateways: plan.table.gateways, services } };
}
