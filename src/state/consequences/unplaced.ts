/**
 * Services of which a change of DataClasses or grants takes endpoints away, as it is told: by name to who may read them,
 * and else how many. Nobody's leave is asked (resources/checks/dataClass.ts), and `weir status` goes on telling it. Pure.
 */
import { PROBLEMS_MAX } from "../../limits.js";
import { unplaced } from "../../resources/checks/dataClass.js";
import { severed } from "../../resources/checks/reference.js";
import { resourceTitle } from "../../resources/position.js";
import type { Resource, ResourceSet } from "../../resources/resource.js";
import type { ResourceChange } from "../acts/wishes.js";
import type { MayRead } from "../api/visible.js";

export interface StandingFault {
	readonly resource: Resource;
	readonly words: string;
}

export interface ToldServices {
	readonly services: readonly { readonly resource: string; readonly words: string }[];
	/** Further ones. */
	readonly more: number;
}

const TAKING: ReadonlySet<ResourceChange["kind"]> = new Set(["DataClass", "ReferenceGrant"]);

/** Those that were not there before the change. */
export function newlyUnplaced(
	before: ResourceSet,
	after: ResourceSet,
	changes: readonly ResourceChange[],
): readonly StandingFault[] {
	if (!changes.some(({ kind, change }) => TAKING.has(kind) && change !== "unchanged")) return [];
	const known = new Set(found(before).map(({ key }) => key));
	return found(after).filter(({ key }) => !known.has(key));
}

function found(set: ResourceSet): readonly (StandingFault & { readonly key: string })[] {
	const cut = severed(set).filter(({ resource }) => resource.kind === "Service");
	return [...cut.map((one) => ({ ...one, variants: null })), ...unplaced(set)].map(({ resource, variants, words }) => ({
		resource,
		words,
		key: JSON.stringify([resourceTitle(resource), variants]),
	}));
}

/** As a part of the answer to the change; nothing where there are none. */
export function told<Name extends "unplaced" | "opened">(
	name: Name,
	all: readonly StandingFault[],
	mayRead: MayRead,
): { readonly [Part in Name]?: ToldServices } {
	if (all.length === 0) return {};
	const seen = all.filter(({ resource }) => mayRead(resource.metadata.namespace)).slice(0, PROBLEMS_MAX);
	const services = seen.map(({ resource, words }) => ({ resource: resourceTitle(resource), words }));
	const answer: ToldServices = { services, more: all.length - services.length };
	return { [name]: answer } as { readonly [Part in Name]: ToldServices };
}

const TAKES = "takes endpoints away from ";

/** As others are told of it who approve the change: without names, which are another namespace's. */
export function unplacedEffects(all: readonly StandingFault[]): readonly string[] {
	return all.length === 0 ? [] : [`${TAKES}${all.length} ${all.length === 1 ? "Service" : "Services"}`];
}

/**
 * Effects without that: it tells, and is not what is approved. Else each Service that another namespace declares meanwhile
 * would void the request, and hold up the owners of the class.
 */
export const approvedEffects = (effects: readonly string[]): readonly string[] =>
	effects.filter((effect) => !effect.startsWith(TAKES));
