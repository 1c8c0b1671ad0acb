/**
 * Routes of a Service whose Variants the sidecar chooses: one per Variant, by the header in the sidecar's answer, then the
 * default. A client cannot send that header: it is removed before routing.
 */
import { ARM_HEADER, VARIANT_HEADER } from "../plan/headers.js";
import { UNIT_REGEX } from "./matcher.js";
import {
	addedToRequest,
	modelHeaders,
	ownClaim,
	type Route,
	type RouteContext,
	removed,
	routeAction,
	routeIdentity,
	variantCluster,
} from "./routeAction.js";

/** @param otherwise if no Variant is named: before the answer, and if the answer names none */
export function variantRoutes(context: RouteContext, otherwise: Route): readonly object[] {
	const { service, planVersion, exposeArm } = context;
	const metadata = { filter_metadata: { weir: { plan: planVersion } } };
	// The sidecar's answer adds ours later.
	const removal = exposeArm ? { response_headers_to_remove: [ARM_HEADER] } : {};
	const named = (matcher: object) => ({
		prefix: "/",
		headers: [{ name: VARIANT_HEADER, ...matcher }],
	});
	const routes = service.spec.variants.map(({ name }) => ({
		...routeIdentity(context, null),
		match: named({ string_match: { exact: name } }),
		route: { cluster: variantCluster(context, name), ...routeAction(context) },
		metadata,
		...addedToRequest(modelHeaders(context, name)),
		...removal,
	}));
	// A Variant of a newer plan that these routes do not know. The request must not go to another one: it was authorised for
	// that Variant, or is labelled with its arm.
	const unknown = {
		...routeIdentity(context, null),
		match: named({ present_match: true }),
		direct_response: { status: 503 },
		metadata,
	};
	const claim = ownClaim(context.table);
	return [...routes.flatMap((route) => byClaim(route, claim)), unknown, ...byClaim(otherwise, claim)];
}

/** The route if the claim is a unit, then the route that removes an invalid claim. */
function byClaim(route: Route, claim: string | null): readonly object[] {
	if (claim === null) return [route];
	const isUnit = { name: claim, string_match: { safe_regex: { regex: UNIT_REGEX } } };
	const { match } = route;
	return [
		{ ...route, match: { ...match, headers: [...(match.headers ?? []), isUnit] } },
		{ ...route, ...removed([claim]) },
	];
}
