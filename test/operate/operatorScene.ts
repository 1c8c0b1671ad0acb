/** An API with a Service, and operators by certificate with verbs in its namespace. */
import type { ApiClient } from "../../src/operate/api/apiClient.js";
import { file, SERVICE } from "./employment.js";
import { type MutualApi, mutualApi } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

/** Promotions in `default` take a second person. */
export const TWO =
	"apiVersion: weir.dev/v1alpha1\nkind: ApprovalPolicy\nmetadata: {name: two}\nspec: {verbs: [promote], namespaces: [default]}\n";

/** @param verbs by operator, as a RoleBinding lists them */
export async function operatorScene<Name extends string>(
	t: Parameters<typeof mutualApi>[0],
	verbs: Readonly<Record<Name, string>>,
	...documents: readonly string[]
): Promise<MutualApi & Readonly<Record<Name, ApiClient>>> {
	const made = await mutualApi(t);
	const names = Object.keys(verbs) as Name[];
	const people = names.map((name) => binding(name, verbs[name], [name], "[default]"));
	const applied = await made.owner.apply(file([SERVICE, ...people, ...documents].join("---\n")), { dryRun: false });
	if (applied.outcome !== "applied") throw new Error(JSON.stringify(applied));
	const clients = await Promise.all(names.map(async (name) => [name, await made.as(name)] as const));
	return { ...made, ...(Object.fromEntries(clients) as Record<Name, ApiClient>) };
}
