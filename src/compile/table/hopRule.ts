/** The `weir explain` rule for the hop from Envoy to a Service's servers: authentication and encryption. */
import { hostPort } from "../../declare/resources/address.js";
import { isOnEnvoyHost } from "../../declare/resources/plainText.js";
import type { Service } from "../../declare/resources/resource.js";
import type { RuleExecution } from "../plan/compiledPlan.js";
import type { CompiledService } from "./execution.js";

/** Maximum number of servers and ids in the text; the rest is counted. */
const NAMED_MAX = 5;

/** Empty if the Service has no endpoint. */
export function hopRule({ service, table }: CompiledService): readonly RuleExecution[] {
	const because = hopText(service.spec);
	if (because === null) return [];
	return [{ rule: `Service ${table.name}: hop to its endpoints`, execution: "native", because, cost: null }];
}

function hopText({ identities, variants }: Service["spec"]): string | null {
	const endpoints = variants.flatMap((variant) => variant.endpoints);
	if (endpoints.length === 0) return null;
	if (identities !== null)
		return `mutual TLS: Envoy shows its own SPIFFE id, and accepts only servers that prove ${named(identities, " or ")}`;
	const text = (of: typeof endpoints): string =>
		named([...new Set(of.map(({ address, port }) => hostPort(address, port)))], ", ");
	const remote = endpoints.filter((one) => !isOnEnvoyHost(one));
	return remote.length === 0
		? `plain text to ${text(endpoints)}, beside Envoy: the server cannot distinguish it from other programs there`
		: `PLAIN TEXT to ${text(remote)}: anyone on the network path can read and answer it, and the server cannot authenticate Envoy`;
}

function named(all: readonly string[], between: string): string {
	const more = all.length - NAMED_MAX;
	return `${all.slice(0, NAMED_MAX).join(between)}${more > 0 ? ` and ${more} more` : ""}`;
}
