/** Common parts of every route of a Service: name, timeout, retries and the Variant's cluster. */

import type { Service } from "../../declare/resources/resource.js";
import { isOpen } from "../access/rules/accessTable.js";
import type { DryRun } from "../access/shadow.js";
import type { CalloutProtocol } from "../plan/compiledPlan.js";
import { clusterName, type GatewayTable, routeName, type ServiceTable } from "../plan/compiledPlan.js";
import { MODEL_HEADER } from "../plan/headers.js";
import { noUpgrades } from "./canonical.js";
import { protoDuration } from "./duration.js";

export interface RouteContext {
	readonly service: Service;
	readonly table: ServiceTable;
	readonly dryRun: DryRun;
	readonly planVersion: string;
	readonly gateway: GatewayTable;
	readonly exposeArm: boolean;
	/** The Gateway's idle timeout. */
	readonly idleTimeoutMs: number;
	readonly protocol: CalloutProtocol;
	/** The listener has callout filters. */
	readonly asksSidecar: boolean;
	/** The Gateway requires client certificates, so x-forwarded-client-cert was written by Envoy. */
	readonly identifies: boolean;
	/** Mark of the Service behind the Gateway: loopDetection.ts. */
	readonly mark: string;
}

export interface Route {
	readonly name: string;
	readonly match: { readonly prefix: string; readonly headers?: readonly object[] };
}

export const routeIdentity = ({ planVersion, table }: RouteContext, experiment: string | null): Route => ({
	name: routeName(planVersion, table.name, experiment),
	match: { prefix: "/" },
});

/**
 * A claim may contain characters that no header can (a line feed in a name), and jwt_authn does not check: Envoy would answer
 * 503. It is kept only if its Service assigns by it (claims.ts) and it is a unit; otherwise the route removes it.
 */
export const ownClaim = ({ experiments }: ServiceTable): string | null => {
	const unit = experiments[0]?.unit;
	return unit?.from === "claim" ? unit.header : null;
};

/** Fields of a route or a virtual host. */
export const removed = (names: readonly (string | null)[]): object => {
	const headers = names.filter((name) => name !== null);
	return headers.length === 0 ? {} : { request_headers_to_remove: headers };
};

/** Timeout and retries; a retry stays in the chosen cluster, and so in the Variant. */
export function routeAction({ service: { spec }, table, idleTimeoutMs }: RouteContext): object {
	return {
		timeout: protoDuration(spec.timeoutMs),
		// A model may take as long as its Service declares before it sends anything.
		...(spec.timeoutMs > idleTimeoutMs ? { idle_timeout: protoDuration(spec.timeoutMs) } : {}),
		...(isOpen(table.access) ? {} : noUpgrades()),
		...(spec.retries === null
			? {}
			: {
					retry_policy: {
						retry_on: spec.retries.on.join(","),
						num_retries: spec.retries.attempts,
						...(spec.retries.perTryTimeoutMs === 0
							? {}
							: { per_try_timeout: protoDuration(spec.retries.perTryTimeoutMs) }),
					},
				}),
	};
}

/** The Variant's cluster, or the default Variant's if it has no endpoint and the Service declares `default-variant`. */
export const variantCluster = (context: RouteContext, variant: string): string =>
	clusterName(context.table.name, servedVariant(context, variant));

/** Tells the predictor which model the Variant serves. */
export function modelHeaders(context: RouteContext, variant: string): readonly object[] {
	const model = context.table.models?.[servedVariant(context, variant)];
	if (model === undefined) return [];
	const value = model.slice(model.indexOf("@") + 1);
	return [{ header: { key: MODEL_HEADER, value }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" }];
}

function servedVariant({ service, table }: RouteContext, variant: string): string {
	const declared = service.spec.variants.find(({ name }) => name === variant);
	const empty = declared === undefined || declared.endpoints.length === 0;
	return empty && service.spec.noEndpoint === "default-variant" ? table.defaultVariant : variant;
}

/** The field of a route, or none. */
export const addedToRequest = (headers: readonly object[]): object =>
	headers.length === 0 ? {} : { request_headers_to_add: headers };
