/**
 * What decides beside the rules: which clients, proxies and issuers a Gateway believes, at which hosts a Service is reached,
 * whether anyone may call it, to whom its Gateways hand requests on, where they stand, which Variant is the default one, how
 * many requests pass, and where data may be processed. No request that can be constructed shows all of it, so a change of it
 * is a difference of its own.
 */
import { namedIn } from "../resources/reference.js";
import { regionsOf } from "../resources/regions.js";
import {
	type DataClass,
	type Gateway,
	qualifiedName,
	type Rate,
	type RateLimits,
	type ResourceSet,
	type Service,
	type TokenIssuer,
} from "../resources/resource.js";
import { durationText } from "../resources/scalar.js";
import { accessTable, isOpen, judgesVariants } from "./table.js";

/** Each change in words. */
export function changedSettings(before: ResourceSet, after: ResourceSet): readonly string[] {
	return [
		...comings(before.gateways, after.gateways),
		...pairs(before.gateways, after.gateways).flatMap(([was, is]) => [
			...changedClients(was, is),
			...changedTokens(was, is),
		]),
		...comings(before.services, after.services),
		...pairs(before.services, after.services).flatMap(([was, is]) => [
			...changedHosts(was, is),
			...changedIdentities(was, is),
			...changedAccess([was, before], [is, after]),
			...changedDefault([was, before], [is, after]),
			...changedLimits(was, is),
			...changedResidency([was, before], [is, after]),
		]),
		...pairs(before.dataClasses, after.dataClasses).flatMap(([was, is]) => changedRegions(was, is)),
	];
}

function pairs<Kind extends DataClass | Gateway | Service>(
	before: readonly Kind[],
	after: readonly Kind[],
): readonly (readonly [Kind, Kind])[] {
	const byName = new Map(after.map((one) => [qualifiedName(one.metadata), one]));
	return before.flatMap((was) => {
		const is = byName.get(qualifiedName(was.metadata));
		return is === undefined ? [] : [[was, is] as const];
	});
}

function comings(before: readonly (Gateway | Service)[], after: readonly (Gateway | Service)[]): readonly string[] {
	const titles = (all: readonly (Gateway | Service)[]): readonly string[] =>
		all.map(({ kind, metadata }) => `${kind} ${qualifiedName(metadata)}`);
	const [old, now] = [titles(before), titles(after)];
	return [
		...old.filter((title) => !now.includes(title)).map((title) => `${title}: there no more`),
		...now.filter((title) => !old.includes(title)).map((title) => `${title}: new`),
	];
}

/** Who can connect, as whom, and whose word about others counts. */
function changedClients(was: Gateway, is: Gateway): readonly string[] {
	const where = `Gateway ${qualifiedName(is.metadata)}`;
	const [from, to] = [clientsOf(was), clientsOf(is)];
	return [
		...(from === to ? [] : [`${where}, clients: ${from} → ${to}`]),
		...(was.spec.region === is.spec.region
			? []
			: [`${where}, region: ${was.spec.region ?? "none"} → ${is.spec.region ?? "none"}`]),
		...changedList(`${where}, trusted proxies`, was.spec.trustedProxies, is.spec.trustedProxies),
	];
}

function clientsOf({ spec: { tls } }: Gateway): string {
	if (tls === null) return "anyone, without TLS";
	if (tls.from === "identity") return "who has an identity of the mesh";
	return tls.clientCaFile === null ? "anyone, by TLS" : `who has a certificate of ${tls.clientCaFile}`;
}

function changedIdentities(was: Service, is: Service): readonly string[] {
	const where = `Service ${qualifiedName(is.metadata)}, identities of its endpoints`;
	return changedList(where, was.spec.identities ?? [], is.spec.identities ?? []);
}

function changedList(where: string, old: readonly string[], now: readonly string[]): readonly string[] {
	const gone = old.filter((one) => !now.includes(one)).map((one) => `no more ${one}`);
	const come = now.filter((one) => !old.includes(one)).map((one) => `now ${one}`);
	return gone.length + come.length === 0 ? [] : [`${where}: ${[...gone, ...come].join(", ")}`];
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
	return changedList(`Service ${qualifiedName(is.metadata)}, hosts`, was.spec.hosts, is.spec.hosts);
}

type Declared = readonly [Service, ResourceSet];

/** Open: said so, and no enforced policy selects it. */
function changedAccess(was: Declared, is: Declared): readonly string[] {
	const [from, to] = [was, is].map(([service, { accessPolicies, referenceGrants }]) =>
		isOpen(accessTable(service, accessPolicies, referenceGrants)) ? "open" : "protected",
	);
	return from === to ? [] : [`Service ${qualifiedName(is[0].metadata)}, access: ${from} → ${to}`];
}

/** Told where rules look at Variants: requests that no Experiment assigns go to the default one. */
function changedDefault([was, before]: Declared, [is, after]: Declared): readonly string[] {
	const [from, to] = [was.spec.defaultVariant, is.spec.defaultVariant];
	const judged = [[was, before] as const, [is, after] as const].some(([service, set]) =>
		judgesVariants(accessTable(service, set.accessPolicies, set.referenceGrants)),
	);
	return from === to || !judged ? [] : [`Service ${qualifiedName(is.metadata)}, default Variant: ${from} → ${to}`];
}

const LIMITED: Readonly<Record<keyof RateLimits, string>> = {
	service: "limit of all requests",
	principal: "limit of each principal",
	tenant: "limit of each tenant",
};

function changedLimits(was: Service, is: Service): readonly string[] {
	return (Object.keys(LIMITED) as readonly (keyof RateLimits)[]).flatMap((of) => {
		const [from, to] = [was, is].map(({ spec }) => rateText(spec.rateLimits[of]));
		return from === to ? [] : [`Service ${qualifiedName(is.metadata)}, ${LIMITED[of]}: ${from} → ${to}`];
	});
}

const rateText = (rate: Rate | null): string =>
	rate === null ? "none" : `${rate.requests} in ${durationText(rate.perMs)}`;

function changedRegions(was: DataClass, is: DataClass): readonly string[] {
	return changedList(`DataClass ${qualifiedName(is.metadata)}, regions`, was.spec.regions, is.spec.regions);
}

/** Another class; or the same, but it is granted and declared now, or no more. What else its regions are is said of it once. */
function changedResidency([was, before]: Declared, [is, after]: Declared): readonly string[] {
	const [old, now] = [regionsOf(before, was), regionsOf(after, is)];
	const [from, to] = [classOf(was), classOf(is)];
	if (from === to && (old?.length === 0) === (now?.length === 0)) return [];
	const words = (name: string | null, regions: readonly string[] | null): string =>
		name === null ? "none, any region" : `${name}, ${regions?.length ? regions.join(" and ") : "no region"}`;
	return [`Service ${qualifiedName(is.metadata)}, DataClass: ${words(from, old)} → ${words(to, now)}`];
}

const classOf = ({ metadata, spec }: Service): string | null =>
	spec.dataClass === null ? null : qualifiedName(namedIn(metadata.namespace, spec.dataClass));
