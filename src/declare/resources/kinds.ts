/** The list of kinds, apart from their schemas, which most importers do not need. */
import type { Kind, Resource, ResourceSet } from "./resource.js";

export const KINDS = [
	"Gateway",
	"Service",
	"Layer",
	"Experiment",
	"Metric",
	"AccessPolicy",
	"DataClass",
	"ReferenceGrant",
	"RoleBinding",
	"ApprovalPolicy",
] as const satisfies Kind[];

export function isKind(value: unknown): value is Kind {
	return KINDS.some((kind) => kind === value);
}

/** Groups resources by kind, in their order. */
export function resourceSet(resources: readonly Resource[]): ResourceSet {
	const of = <K extends Kind>(kind: K) =>
		resources.filter((resource): resource is Extract<Resource, { kind: K }> => resource.kind === kind);
	return {
		gateways: of("Gateway"),
		services: of("Service"),
		layers: of("Layer"),
		experiments: of("Experiment"),
		metrics: of("Metric"),
		accessPolicies: of("AccessPolicy"),
		dataClasses: of("DataClass"),
		referenceGrants: of("ReferenceGrant"),
		roleBindings: of("RoleBinding"),
		approvalPolicies: of("ApprovalPolicy"),
	};
}

/** All resources of a set. */
export function resourcesOf(set: ResourceSet): readonly Resource[] {
	return [
		...set.gateways,
		...set.services,
		...set.layers,
		...set.experiments,
		...set.metrics,
		...set.accessPolicies,
		...set.dataClasses,
		...set.referenceGrants,
		...set.roleBindings,
		...set.approvalPolicies,
	];
}
