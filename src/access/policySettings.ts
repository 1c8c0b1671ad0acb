/**
 * What decides verdicts beside the rules: whose tokens a Gateway believes, at which hosts a Service is reached, whether
 * anyone may call it. No request that can be constructed shows all of it, so a change of it is a difference of its own.
 */
import {
	type Gateway,
	qualifiedName,
	type ResourceSet,
	type Service,
	type TokenIssuer,
} from "../resources/resource.js";
import { accessTable, isOpen } from "./table.js";

/** Each change in words, of Gateways and Services that both declare. */
export function changedSettings(before: ResourceSet, after: ResourceSet): readonly string[] {
	return [
		...pairs(before.gateways, after.gateways).flatMap(([was, is]) => changedTokens(was, is)),
		...pairs(before.services, after.services).flatMap(([was, is]) => [
			...changedHosts(was, is),
			...changedAccess([was, before], [is, after]),
		]),
	];
}

function pairs<Kind extends Gateway | Service>(
	before: readonly Kind[],
	after: readonly Kind[],
): readonly (readonly [Kind, Kind])[] {
	const byName = new Map(after.map((one) => [qualifiedName(one.metadata), one]));
	return before.flatMap((was) => {
		const is = byName.get(qualifiedName(was.metadata));
		return is === undefined ? [] : [[was, is] as const];
	});
}

function changedTokens(was: Gateway, is: Gateway): readonly string[] {
	const where = `Gateway ${qualifiedName(is.metadata)}, tokens of`;
	const [old, now] = [was, is].map(({ spec }) => new Map(spec.tokens.map((issuer) => [issuer.issuer, issuer])));
	const all = new Set([...(old?.keys() ?? []), ...(now?.keys() ?? [])]);
	return [...all].flatMap((name) => {
		const [one, other] = [old?.get(name), now?.get(name)];
		if (other === undefined) return [`${where} ${name}: believed no more`];
		if (one === undefined) return [`${where} ${name}: believed now`];
		const fields = Object.keys({ ...one, ...other }) as readonly (keyof TokenIssuer)[];
		return fields.flatMap((field) => {
			const [from, to] = [JSON.stringify(one[field]), JSON.stringify(other[field])];
			return from === to ? [] : [`${where} ${name}: ${field} ${from} → ${to}`];
		});
	});
}

function changedHosts(was: Service, is: Service): readonly string[] {
	const [old, now] = [was.spec.hosts, is.spec.hosts];
	const gone = old.filter((host) => !now.includes(host));
	const come = now.filter((host) => !old.includes(host));
	if (gone.length + come.length === 0) return [];
	const parts = [...gone.map((host) => `no more ${host}`), ...come.map((host) => `now ${host}`)];
	return [`Service ${qualifiedName(is.metadata)}, hosts: ${parts.join(", ")}`];
}

type Declared = readonly [Service, ResourceSet];

/** Open: said so, and no enforced policy selects it. */
function changedAccess(was: Declared, is: Declared): readonly string[] {
	const [from, to] = [was, is].map(([service, { accessPolicies, referenceGrants }]) =>
		isOpen(accessTable(service, accessPolicies, referenceGrants)) ? "open" : "protected",
	);
	return from === to ? [] : [`Service ${qualifiedName(is[0].metadata)}, access: ${from} → ${to}`];
}
