/** Hosts whose requests go to another Service, and so come under other rules. Pure. */
import { hostMovesBetween } from "../../resources/hostMoves.js";
import { qualifiedName, type ResourceSet, type Service } from "../../resources/resource.js";

/** What one Service takes from one other: of all of it verdicts change alike, for no rule looks at the host. */
export interface MovedHosts {
	/** Who had them, as it was. */
	readonly from: Service;
	/** Who has them then, as it is then. */
	readonly to: Service;
	/** As they are declared: names, and wildcards. */
	readonly hosts: readonly [string, ...string[]];
}

type Services = Pick<ResourceSet, "services">;

/** Not those that nobody had, or nobody has then. */
export function movedHosts(before: Services, after: Services): readonly MovedHosts[] {
	const moved = new Map<string, MovedHosts & { readonly hosts: string[] }>();
	for (const { host, from, to } of hostMovesBetween(before.services, after.services)) {
		if (to === null) continue;
		const key = `${qualifiedName(from.metadata)} ${qualifiedName(to.metadata)}`;
		const known = moved.get(key);
		if (known === undefined) moved.set(key, { from, to, hosts: [host] });
		else known.hosts.push(host);
	}
	return [...moved.values()];
}

/** A host to ask by; of wildcards alone, a name below one. */
export function askedHost({ hosts }: MovedHosts): string {
	return hosts.find((host) => !host.startsWith("*")) ?? hosts[0].replace("*", "weir-outside");
}

/** `host a.example`, `hosts a.example, *.b.example` */
export const hostsText = ({ hosts }: MovedHosts): string => `host${hosts.length === 1 ? "" : "s"} ${hosts.join(", ")}`;
