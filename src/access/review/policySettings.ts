/**
 * What decides beside the rules: where a Gateway listens, which clients, proxies and issuers it believes, at which hosts a
 * Service is reached, from whom it takes them, whether anyone may call it, to whom its Gateways hand requests on, where they stand, which Variant is the
 * default one, behind which rules an endpoint stands, how many requests pass, how old its rules may be, whether its decisions are
 * signed, where data may be processed, and whose word a Metric takes. No request that can be constructed shows all of it, so a change of it is a difference
 * of its own.
 */
import { hostPort, oneSpelling } from "../../resources/address.js";
import { serverKey } from "../../resources/checks/shared.js";
import { durationText } from "../../resources/fields/units.js";
import { isBesideEnvoy } from "../../resources/plainText.js";
import { namedIn } from "../../resources/reference.js";
import { regionsOf } from "../../resources/regions.js";
import {
	type DataClass,
	type Endpoint,
	type Gateway,
	qualifiedName,
	type Rate,
	type RateLimits,
	type ResourceSet,
	type Service,
	type TokenIssuer,
} from "../../resources/resource.js";
import { accessTable, isOpen, judgesVariants } from "../rules/table.js";
import { hostsText, movedHosts } from "./movedHosts.js";

/** Each change in words. */
export function changedSettings(before: ResourceSet, after: ResourceSet): readonly string[] {
	return [
		...comings(before.gateways, after.gateways),
		...pairs(before.gateways, after.gateways).flatMap(([was, is]) => [
			...changedField(is, "address", was.spec.address, is.spec.address),
			...changedField(is, "port", was.spec.port, is.spec.port),
			...changedClients(was, is),
			...changedTokens(was, is),
		]),
		...comings(before.services, after.services),
		...pairs(before.services, after.services).flatMap(([was, is]) => [
			...changedHosts(was, is),
			...changedIdentities(was, is),
			...comingPlainText(was, is),
			...changedAccess([was, before], [is, after]),
			...changedDefault([was, before], [is, after]),
			...changedLimits(was, is),
			...changedCallout(was, is),
			...changedResidency([was, before], [is, after]),
			...changedPlaces([was, before], [is, after]),
		]),
		...takenHosts(before, after),
		...changedEndpoints(before, after),
		...pairs(before.dataClasses, after.dataClasses).flatMap(([was, is]) => changedRegions(was, is)),
		...changedSenders(before, after),
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

function changedField(
	{ kind, metadata }: Gateway | Service,
	name: string,
	from: string | number | boolean,
	to: string | number | boolean,
): readonly string[] {
	return from === to ? [] : [`${kind} ${qualifiedName(metadata)}, ${name}: ${from} → ${to}`];
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
	if (tls.clientCaFile === null) return "anyone, by TLS";
	const domains = tls.trustDomains === undefined ? "" : `, in ${[...tls.trustDomains].sort().join(" or ")}`;
	return `who has a certificate of ${tls.clientCaFile}${domains}`;
}

function changedIdentities(was: Service, is: Service): readonly string[] {
	const where = `Service ${qualifiedName(is.metadata)}, identities of its endpoints`;
	const of = ({ spec }: Service): readonly string[] => spec.identities ?? ["none (plain text)"];
	return changedList(where, of(was), of(is));
}

/** Servers that what a protected Service is asked goes to unguarded; `identities: plaintext`, once said, holds for each later one. */
function comingPlainText(was: Service, is: Service): readonly string[] {
	const of = ({ spec: { access, identities, variants } }: Service): readonly string[] =>
		access === "open" || identities !== null
			? []
			: variants.flatMap(({ endpoints }) => endpoints.filter((one) => !isBesideEnvoy(one)).map(endpointText));
	const had = of(was);
	const come = [...new Set(of(is))].filter((one) => !had.includes(one));
	return changedList(`Service ${qualifiedName(is.metadata)}, plain text off Envoy's machine`, [], come);
}

function changedList(where: string, old: readonly string[], now: readonly string[]): readonly string[] {
	const gone = old.filter((one) => !now.includes(one)).map((one) => `no more ${one}`);
	const word = old.some((one) => now.includes(one)) ? "also" : "now";
	const come = now.filter((one) => !old.includes(one)).map((one) => `${word} ${one}`);
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

/** By name or by a wildcard: whose rules a request is judged by, the lists of hosts alone do not tell. */
function takenHosts(before: ResourceSet, after: ResourceSet): readonly string[] {
	return movedHosts(before, after).map((moved) => {
		const [to, from] = [moved.to, moved.from].map(({ metadata }) => qualifiedName(metadata));
		return `Service ${to}: takes ${hostsText(moved)} from Service ${from}`;
	});
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
	const judged = looksAtVariants(was, before) || looksAtVariants(is, after);
	return judged ? changedField(is, "default Variant", was.spec.defaultVariant, is.spec.defaultVariant) : [];
}

const looksAtVariants = (service: Service, { accessPolicies, referenceGrants }: ResourceSet): boolean =>
	judgesVariants(accessTable(service, accessPolicies, referenceGrants));

/**
 * Endpoints that other rules stand before now: another Service's, or another Variant's where rules look at Variants. Of one
 * that only one of both declares nobody knows what it serves, and one that leaves a place lets in nobody there. The addresses
 * of this machine lead to one server or to several: what had another one of them is told too.
 */
function changedEndpoints(before: ResourceSet, after: ResourceSet): readonly string[] {
	const judged = new Set(
		[before, after].flatMap((set) =>
			set.services.filter((one) => looksAtVariants(one, set)).map((one) => qualifiedName(one.metadata)),
		),
	);
	const [old, now] = [serversOf(before, judged), serversOf(after, judged)];
	return [...now].flatMap(([server, places]) => {
		const had = old.get(server);
		if (had === undefined) return [];
		return [...new Set([...places.values()].flatMap((spelt) => [...spelt]))].flatMap((endpoint) => {
			const come = [...places.keys()].filter(
				(place) => places.get(place)?.has(endpoint) && !had.get(place)?.has(endpoint),
			);
			const others = [...had.keys()].filter((place) => !come.includes(place));
			// What comes to one place alone, from that place, is only spelt otherwise.
			if (come.length === 0 || others.length + come.length === 1) return [];
			const from = others.length > 0 ? others : [...had.keys()];
			const to = [...places.keys()].filter((place) => come.includes(place) || from.includes(place));
			return [`endpoint ${endpoint}: ${from.join(" and ")} → ${to.join(" and ")}`];
		});
	});
}

/** Behind which rules a server stands, in words, and how its endpoints are written there. */
type Places = ReadonlyMap<string, ReadonlySet<string>>;

/** By serverKey. */
function serversOf({ services }: ResourceSet, judged: ReadonlySet<string>): ReadonlyMap<string, Places> {
	const servers = new Map<string, Map<string, Set<string>>>();
	for (const { metadata, spec } of services) {
		const name = qualifiedName(metadata);
		for (const variant of spec.variants) {
			const place = judged.has(name) ? `Service ${name}, Variant ${variant.name}` : `Service ${name}`;
			for (const endpoint of variant.endpoints) {
				const key = serverKey(endpoint.address, endpoint.port);
				const places = servers.get(key) ?? new Map<string, Set<string>>();
				servers.set(key, places.set(place, (places.get(place) ?? new Set()).add(endpointText(endpoint))));
			}
		}
	}
	return servers;
}

const endpointText = ({ address, port }: Endpoint): string => hostPort(oneSpelling(address), port);

/** Whether a predictor can demand the decisions, and for how long old rules are obeyed while control is away. */
function changedCallout({ spec: { callout: was } }: Service, is: Service): readonly string[] {
	const { sign, maxStalenessMs } = is.spec.callout;
	return [
		...changedField(is, "callout.sign", was.sign, sign),
		...changedField(is, "callout.maxStaleness", durationText(was.maxStalenessMs), durationText(maxStalenessMs)),
	];
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

/** Whose outcomes a Metric takes: they move traffic. Nobody sends one that is not declared. */
function changedSenders({ metrics: before }: ResourceSet, { metrics: after }: ResourceSet): readonly string[] {
	const [old, now] = [before, after].map(
		(all) => new Map(all.map(({ metadata, spec }) => [qualifiedName(metadata), spec.senders])),
	);
	return [...new Set([...(old?.keys() ?? []), ...(now?.keys() ?? [])])].flatMap((name) =>
		changedList(`Metric ${name}, senders`, old?.get(name) ?? [], now?.get(name) ?? []),
	);
}

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

/**
 * Endpoints of a Service that a class holds, before and now: of another region than was said of them, or new and one that data
 * goes to. Nothing but these words keeps data away from a server.
 */
function changedPlaces([was, before]: Declared, [is, after]: Declared): readonly string[] {
	const allowed = regionsOf(after, is);
	if (regionsOf(before, was) === null || allowed === null) return [];
	const [old, now] = [saidRegions(was), saidRegions(is)];
	return [...now].flatMap(([endpoint, regions]) => {
		const had = old.get(endpoint);
		const come = [...regions].filter((region) =>
			had === undefined ? region !== null && allowed.includes(region) : !had.has(region),
		);
		if (come.length === 0) return [];
		const from = had === undefined ? "not there" : regionText(had);
		return [`Service ${qualifiedName(is.metadata)}, region of endpoint ${endpoint}: ${from} → ${regionText(regions)}`];
	});
}

/** What a Service says of each endpoint; of one that several Variants have, all that they say. */
function saidRegions({ spec }: Service): ReadonlyMap<string, ReadonlySet<string | null>> {
	const said = new Map<string, Set<string | null>>();
	for (const endpoint of spec.variants.flatMap(({ endpoints }) => endpoints)) {
		const key = endpointText(endpoint);
		said.set(key, (said.get(key) ?? new Set()).add(endpoint.locality?.region ?? null));
	}
	return said;
}

const regionText = (regions: ReadonlySet<string | null>): string =>
	[...regions].map((region) => region ?? "none").join(" and ");
