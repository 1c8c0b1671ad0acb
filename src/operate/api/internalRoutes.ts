/** What ingest reads of the state, on a UNIX socket that only this user can open. */
import { WeirError } from "../../error.js";
import type { Store } from "../state/store/store.js";
import { type Answer, type Call, ok, onlyQuery } from "./http.js";

/** @throws WeirError `not-found` for an unknown path or method. */
export async function answerInternal(store: Store, { method, path, query }: Omit<Call, "caller">): Promise<Answer> {
	const [root, noun, version, ...rest] = path;
	if (method === "GET" && root === "internal" && rest.length === 0) {
		onlyQuery(query, []);
		if (noun === "plans") return ok({ table: version === undefined ? store.newestPlan : await store.plan(version) });
		if (noun === "metrics-names" && version === undefined) return ok({ metrics: store.metricNames });
	}
	throw new WeirError("not-found", `no ${method} /${path.join("/").slice(0, 200)} here`);
}
