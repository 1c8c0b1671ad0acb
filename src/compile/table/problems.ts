/** Problems of a Plan whose resources are each valid. */
import type { Problem, ResourceSet } from "../../declare/resources/resource.js";
import type { CompiledService, Mode } from "./execution.js";

export function planProblems(
	resources: ResourceSet,
	services: readonly CompiledService[],
	mode: Mode,
): readonly Problem[] {
	return [
		...(resources.gateways.length > 0
			? []
			: [
					{
						position: null,
						message: "no Gateway is declared, so Envoy would listen nowhere",
						hint: "add one: kind: Gateway with spec.port",
					},
				]),
		...(mode === "native" ? services.flatMap(notNative) : []),
		...services.flatMap(tenantsUnlimited),
	];
}

/** Envoy knows tenants only if it verifies the tokens itself. A declared limit without effect is worse than none. */
function tenantsUnlimited({ service, table, execution: { whyVerdict } }: CompiledService): readonly Problem[] {
	if (service.spec.rateLimits.tenant === null || whyVerdict === null) return [];
	return [
		{
			position: null,
			message: `Service ${table.name} has rateLimits.tenant, which holds only where Envoy decides access: ${whyVerdict}`,
			hint: "remove rateLimits.tenant, or let Envoy decide",
		},
	];
}

function notNative({ table, execution }: CompiledService): readonly Problem[] {
	const { whyAssignment, whyVerdict, eligibility } = execution;
	const hint = "compile with --mode auto, which asks the sidecar where it must";
	const instead =
		eligibility === null
			? hint
			: `let spec.variants of AccessPolicy ${eligibility.policy} name all of ${eligibility.variants.join(", ")} and the default Variant, or none; or ${hint}`;
	return [whyAssignment, whyVerdict].flatMap((why) =>
		why === null
			? []
			: [
					{
						position: null,
						message: `Service ${table.name} cannot be native: ${why}`,
						hint: why === whyAssignment ? instead : hint,
					},
				],
	);
}
