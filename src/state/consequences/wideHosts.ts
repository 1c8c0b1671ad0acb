/**
 * Declarations of a wildcard over a single label, such as `*.com`: what no namespace has below it goes there, and none but
 * its own may have a host there any more. That is for the platform's admins. Pure.
 */
import { qualifiedName, type Resource } from "../../resources/resource.js";
import { ALL_NAMESPACES } from "../rights/permissions.js";
import { listed } from "./named.js";

export interface WideHost {
	readonly namespace: typeof ALL_NAMESPACES;
	/** `takes host *.com for Service team/shop, and so from all other namespaces what lies under it` */
	readonly effect: string;
	readonly cure: string;
}

/** What the namespace has already is no declaration of it. @param changed before null = created, after null = deleted */
export function wideHosts(
	changed: readonly { readonly before: Resource | null; readonly after: Resource | null }[],
): readonly WideHost[] {
	const had = new Set(changed.flatMap(({ before }) => wideIn(before).map(({ key }) => key)));
	return changed.flatMap(({ after }): readonly WideHost[] => {
		const hosts = wideIn(after).flatMap(({ host, key }) => (had.has(key) ? [] : [host]));
		const [first] = hosts;
		if (after === null || first === undefined) return [];
		return [
			{
				namespace: ALL_NAMESPACES,
				effect: `takes ${listed("host", hosts)} for Service ${qualifiedName(after.metadata)}, and so from all other namespaces what lies under it`,
				cure: `write hosts below a name of your own, such as ${first.replace("*", "*.NAME")}, or ask an admin in '*' to apply it`,
			},
		];
	});
}

function wideIn(one: Resource | null): readonly { readonly host: string; readonly key: string }[] {
	if (one?.kind !== "Service") return [];
	return one.spec.hosts
		.filter((host) => /^\*\.[^.]+$/.test(host))
		.map((host) => ({ host, key: `${one.metadata.namespace} ${host}` }));
}
