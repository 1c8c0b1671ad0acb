/**
 * A request as those see it who may approve it in one of its namespaces and not read the others: whole changes that lie
 * in a namespace of theirs, AccessPolicies that name a Service of theirs, and bindings and approval policies that reach it;
 * of the rest, that there is more. Pure.
 */
import { referencesOf } from "../../resources/reference.js";
import { namespaceOf, type Resource } from "../../resources/resource.js";
import type { MayRead } from "../api/visible.js";
import { ALL_NAMESPACES, namespacesOf } from "../rights/permissions.js";
import { resourceKey } from "../store/resourceSet.js";
import type { ApprovalRequest, AskedAct } from "./approval.js";
import type { RequestDocument, RequestDocuments, Texts } from "./requestDocuments.js";

const HIDDEN = "(of another namespace)";

/** Namespaces whose readers a change of it concerns: its own, those of Services that an AccessPolicy names, those it reaches. */
export function concerned(resource: Resource): readonly string[] {
	const named =
		resource.kind === "AccessPolicy" ? referencesOf(resource).filter(({ to }) => to.kind === "Service") : [];
	return [
		...new Set([
			resource.metadata.namespace,
			...namespacesOf(resource),
			...named.map(({ to }) => to.metadata.namespace),
		]),
	];
}

export function redacted(request: ApprovalRequest, mayRead: MayRead, documents: RequestDocuments): ApprovalRequest {
	const seen = request.parts.filter(({ namespaces }) => namespaces.length === 0 || namespaces.some(mayRead));
	const hidden = request.effectCount - seen.length;
	// Of a head alone they may be anywhere.
	const where = request.effectCount > request.parts.length ? "" : " in other namespaces";
	const rest = hidden === 0 ? [] : [`${hidden} more ${hidden === 1 ? "effect" : "effects"}${where}`];
	const effects = [...seen.map(({ effect }) => effect), ...rest];
	const keys = new Set(seen.flatMap(({ resource }) => (resource === null ? [] : [resource])));
	return {
		...request,
		act:
			request.act === null ? null : redactedAct(request.act, keys, mayRead, (texts) => documents.of(request.id, texts)),
		namespaces: request.namespaces.filter(mayRead),
		governedBy: request.governedBy.filter(mayRead),
		needsIn: Object.fromEntries(Object.entries(request.needsIn).filter(([namespace]) => mayRead(namespace))),
		effects,
		effectCount: effects.length,
		parts: seen,
		basis: {},
		// It may name what has changed.
		why: request.state === "void" ? "it cannot happen any more as it was asked for" : request.why,
	};
}

function redactedAct(
	act: AskedAct,
	keys: ReadonlySet<string>,
	mayRead: MayRead,
	documentsOf: (texts: Texts) => readonly RequestDocument[],
): AskedAct {
	const seen = (texts: Texts): Texts =>
		documentsOf(texts)
			.filter(({ key }) => keys.has(key))
			.map(({ key, resource, text }) => ({
				name: key,
				text: mayRead(resource.metadata.namespace) ? text : foreign(resource, mayRead),
			}));
	if ("experiment" in act) return act;
	switch (act.verb) {
		case "apply":
			return { ...act, files: seen(act.files) };
		case "delete":
			return { ...act, resources: act.resources.filter(({ kind, name }) => keys.has(resourceKey(kind, name))) };
		case "rollback":
			return {
				...act,
				documents: seen(act.documents),
				deletions: act.deletions.filter(({ kind, name }) => keys.has(resourceKey(kind, name))),
				kept: (act.kept ?? []).filter(({ name }) => mayRead(namespaceOf(name))),
				leftOut: (act.leftOut ?? []).filter(({ name }) => mayRead(namespaceOf(name))),
			};
	}
}

/** As it was understood, without comments, labels, and names of what the reader may not see. */
function foreign(resource: Resource, mayRead: MayRead): string {
	const {
		kind,
		metadata: { name, namespace },
		spec,
	} = resource;
	const hidden = referencesOf(resource).filter(({ to }) => !mayRead(to.metadata.namespace));
	const places = new Set(hidden.map(({ path }) => path.join(".")));
	if (resource.kind === "RoleBinding" || resource.kind === "ApprovalPolicy") {
		for (const [index, one] of resource.spec.namespaces.entries())
			if (one !== ALL_NAMESPACES && !mayRead(one)) places.add(`spec.namespaces.${index}`);
	}
	const clean = (value: unknown, path: string): unknown => {
		if (places.has(path)) return HIDDEN;
		if (Array.isArray(value)) return value.map((one, index) => clean(one, `${path}.${index}`));
		if (typeof value !== "object" || value === null) return value;
		return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, clean(one, `${path}.${key}`)]));
	};
	return `${JSON.stringify({ kind, metadata: { name, namespace }, spec: clean(spec, "spec") }, null, 2)}\n`;
}
