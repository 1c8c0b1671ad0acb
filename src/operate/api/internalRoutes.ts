/** What ingest reads of the state, on a UNIX socket that only this user can open. */
import type { Store } from "../state/store/store.js";
import { ok } from "./http.js";
import { type Route, route } from "./route.js";

export const internalRoutes = (store: Store): readonly Route[] => [
	route("GET", "/internal/plans", { answer: () => ok({ table: store.newestPlan }) }),
	route("GET", "/internal/plans/:version", {
		answer: async ({ params }) => ok({ table: await store.plan(params.version ?? "") }),
	}),
	route("GET", "/internal/metrics-names", { answer: () => ok({ metrics: store.metricNames }) }),
];
