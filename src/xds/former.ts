/**
 * Endpoints that clusters had last which have DNS names now: a client that has just taken such a cluster as it was asks for them. By a
 * name that was in no publication since comes another Service or Variant: it is served by nothing of what was deleted.
 */
import { XDS_FORMER_ENDPOINTS_BYTES_MAX } from "../limits.js";
import { stillServing } from "./leaving.js";
import { bytesOf } from "./resource.js";
import type { Snapshot, View } from "./snapshot.js";

/**
 * The longest known first; beyond the bound they go, as what is forbidden or another's in any publication since.
 * @param last what was published before
 */
export function formerEndpoints(
	last: Pick<Snapshot, "views" | "former"> | null,
	target: Pick<Snapshot, "views" | "bound" | "places" | "left">,
): View {
	const { clusters, endpoints } = target.views;
	let bytes = 0;
	const youngest = [...(last?.former ?? []), ...(last?.views.endpoints ?? [])]
		.filter(([name]) => clusters.has(name) && !endpoints.has(name))
		.map(([name, had]) => [name, stillServing(had, target)] as const)
		.reverse()
		.filter(([, one]) => {
			bytes += bytesOf(one);
			return bytes <= XDS_FORMER_ENDPOINTS_BYTES_MAX;
		});
	return new Map(youngest.reverse());
}
