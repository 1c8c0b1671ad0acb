/** Services of every execution side by side, all on one Gateway. */
import type { CompileOptions } from "../../../src/compile/compile.js";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import type { CompiledPlan } from "../../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { ResourceSet, TokenIssuer, UnitSource } from "../../../src/declare/resources/resource.js";
import {
	accessPolicy,
	CALLOUT,
	experiment,
	gateway,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../../fixtures/resources.js";

export const COOKIE: UnitSource = { from: "cookie", cookie: "weir_id", maxAgeMs: 86_400_000 };
export const CLAIM: UnitSource = { from: "claim", claim: "org.tenant" };
const PRINCIPALS = ["spiffe://x/alice"];

const variants = [variant("v1", 9001), variant("v2", 9002)];
const guarded = { access: null } as const;

/** Services that need no sidecar in mode auto. */
const nativeServices = [
	service("open", variants),
	service("header", variants),
	service("claim", variants),
	service("policies", variants, guarded),
	service("policies-header", variants, guarded),
	service("judged", variants, guarded),
	service("judged-header", variants, guarded),
];

/** Services that need the sidecar in mode auto. */
const calloutServices = [
	service("cookie", variants),
	service("cookie-passes", variants, { callout: { ...CALLOUT, onFailure: "default-variant", timeoutMs: 750 } }),
	service("policies-cookie", variants, guarded),
	service("judged-cookie", variants, guarded),
	service("judged-apart-header", variants, guarded),
	service("asks", variants, { ...guarded, callout: { ...CALLOUT, access: "sidecar" } }),
	service("asks-header", variants, { ...guarded, callout: { ...CALLOUT, access: "sidecar" } }),
];

export const NATIVE = nativeServices.map(({ metadata }) => metadata.name);
export const IN_CALLOUT = calloutServices.map(({ metadata }) => metadata.name);

const unitOf = (name: string): string | UnitSource | null => {
	if (name.includes("header")) return "x-user-id";
	if (name.includes("cookie")) return COOKIE;
	return name.includes("claim") ? CLAIM : null;
};

/** @param keep names of the Services to leave in the set */
export function neighbours(
	keep: readonly string[] = [...NATIVE, ...IN_CALLOUT],
	tokens: readonly TokenIssuer[] = ISSUERS,
): ResourceSet {
	const services = [...nativeServices, ...calloutServices].filter(({ metadata }) => keep.includes(metadata.name));
	const names = services.map(({ metadata }) => metadata.name);
	const judged = names.filter((name) => name.startsWith("judged"));
	const selected = services.filter(({ spec }) => spec.access === null).map(({ metadata }) => metadata.name);
	return resourceSet({
		gateways: [gateway({ tokens })],
		services,
		experiments: names.flatMap((name) => {
			const unit = unitOf(name);
			if (unit === null) return [];
			// If every weighted arm has one Variant, access to the other Variant has no effect, so Envoy assigns.
			const weights = name === "judged-header" ? [1, 0] : [1, 1];
			return [experiment(`e-${name}`, name, weights, { layer: name, unit, slotPpm: [0, 400_000] })];
		}),
		accessPolicies: [
			...(selected.length === 0 ? [] : [accessPolicy("some", "allow", selected, { principals: PRINCIPALS })]),
			...(judged.length === 0 ? [] : [accessPolicy("not-v2", "deny", judged, { variants: ["v2"] })]),
		],
	});
}

/** Files need not exist to compile. */
const ISSUERS: readonly TokenIssuer[] = [tokenIssuer("https://id.test", ["weir", "models"], "/run/weir/keys.json")];

export function build(set: ResourceSet, options: Partial<CompileOptions> = {}): CompiledPlan {
	return compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS, installation: "test", ...options });
}
