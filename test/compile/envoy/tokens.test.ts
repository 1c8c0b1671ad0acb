/** Verified claims as units: the token filter is on only for Services that assign by a claim, and decides no access. */
import t from "tap";
import { claimHeader } from "../../../src/compile/plan/headers.js";
import {
	accessPolicy,
	experiment,
	gateway,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../../fixtures/resources.js";
import { build, CLAIM, neighbours } from "./neighbours.js";
import { httpFilters, valuesUnder, virtualHost } from "./virtualHosts.js";

const TOKENS = "weir.tokens/edge";
const tokenFilter = (plan: ReturnType<typeof build>) => httpFilters(plan).find(({ name }) => name === TOKENS);

t.test("only a Service that assigns by a claim verifies tokens, natively and in callout", async (t) => {
	for (const mode of ["auto", "callout"] as const) {
		const plan = build(neighbours(), { mode });
		t.equal(tokenFilter(plan)?.disabled, true);
		for (const { name } of plan.table.services) {
			const own = virtualHost(plan, name).typed_per_filter_config[TOKENS];
			if (name === "claim") t.match(own, { requirement_name: "claims" }, `${mode}: ${name}`);
			else t.equal(own, undefined, `${mode}: ${name}`);
		}
		const perHost = httpFilters(plan).filter(({ name }) => ["weir.claims.rules/edge", "weir.claims"].includes(name));
		t.same(
			perHost.map(({ disabled }) => disabled),
			[true, true],
			"the filter that removes claims is on only for virtual hosts with claims",
		);
	}
	const none = build({ ...neighbours(["header"]), gateways: [gateway()] });
	t.equal(tokenFilter(none), undefined, "no issuer, no filter");
});

t.test("every issuer has its audiences and keys, and an invalid token counts as none", async (t) => {
	const issuers = [
		tokenIssuer("https://a.test", ["x", "y"], "/keys/a.json"),
		tokenIssuer("https://b.test", ["x"], "/keys/b.json"),
	];
	const set = resourceSet({
		gateways: [gateway({ tokens: issuers }, "edge")],
		services: [service("s", [variant("v1", 1), variant("v2", 2)]), service("r", [variant("v1", 1), variant("v2", 2)])],
		experiments: [
			experiment("e", "s", [1, 1], { unit: CLAIM, slotPpm: [0, 500_000] }),
			experiment("f", "s", [1, 1], { unit: CLAIM, slotPpm: [500_000, 1_000_000] }),
			experiment("g", "r", [1, 1], { unit: { from: "claim", claim: "sub" }, layer: "other" }),
		],
	});
	const config = tokenFilter(build(set))?.typed_config;
	const claims = [
		{ header_name: "x-weir-claim-org-2etenant", claim_name: "org.tenant" },
		{ header_name: "x-weir-claim-sub", claim_name: "sub" },
	];
	const provider = (index: number) => ({
		issuer: issuers[index]?.issuer,
		audiences: issuers[index]?.audiences,
		local_jwks: { filename: `/keys/${"ab"[index]}.json` },
		forward: true,
		require_expiration: true,
		claim_to_headers: claims,
		clear_route_cache: true,
	});
	t.match(config?.providers, { "https://a.test": provider(0), "https://b.test": provider(1) });
	const each = [{ provider_name: "https://a.test" }, { provider_name: "https://b.test" }];
	t.same(config?.requirement_map, {
		claims: { requires_any: { requirements: [...each, { allow_missing_or_failed: {} }] } },
		users: { requires_any: { requirements: [...each, { allow_missing: {} }] } },
	});
	t.notOk("rules" in (config ?? {}), "no rule by path: a virtual host enables it");
	const headers = valuesUnder(virtualHost(build(set), "s"), "header_name");
	t.same([...new Set(headers)], ["x-weir-claim-org-2etenant"], "guard, slot and hash read the claim's header");
});

t.test("claims of invalid tokens are used only if no policy judges users", async (t) => {
	const issuer = "https://b.test";
	const tokens = [
		tokenIssuer("https://a.test", ["x"], "/keys/a.json"),
		{ ...tokenIssuer(issuer, ["x"], "/keys/b.json"), binding: "dpop" as const },
	];
	const variants = [variant("v1", 1), variant("v2", 2)];
	const names = ["open", "users", "plain"];
	const plan = build(
		resourceSet({
			gateways: [gateway({ tokens })],
			services: names.map((name) => service(name, variants, name === "users" ? { access: null } : {})),
			experiments: ["open", "users"].map((name) =>
				experiment(`e-${name}`, name, [1, 1], { unit: { from: "claim", claim: "sub" }, layer: name }),
			),
			accessPolicies: [accessPolicy("any", "allow", ["users"], { users: ["*"] })],
		}),
	);
	for (const name of names) {
		const own = virtualHost(plan, name).typed_per_filter_config;
		t.equal("weir.claims" in own && "weir.claims.rules/edge" in own, name === "open", name);
	}
	const reason = (name: string) =>
		plan.rules.find(({ rule }) => rule.startsWith(`Experiment e-${name}`))?.because ?? "";
	t.match(reason("open"), `an invalid token gives no unit, nor does one of ${issuer}, whose proof`);
	t.notMatch(reason("users"), /no unit/, "it is refused");
});

t.test("claims that differ in case or punctuation have different headers", async (t) => {
	const claims = ["sub", "SUB", "Sub", "s-75b", "a.b", "a-b", "a_b", "ab", "a-2db", "A", "-41"];
	const headers = claims.map(claimHeader);
	t.equal(new Set(headers).size, claims.length);
	for (const header of headers) t.match(header, /^x-weir-claim-[a-z0-9-]+$/);
	t.equal(claimHeader("org.tenantId"), "x-weir-claim-org-2etenant-49d");
});

t.test("claims of other Services do not add to a virtual host", async (t) => {
	const sizes = [1, 300].map((others) => {
		const names = Array.from({ length: others }, (_, index) => `s${index}`);
		const variants = [variant("v1", 1), variant("v2", 2)];
		const unitOf = (claim: string) => ({ unit: { from: "claim", claim }, layer: claim }) as const;
		const plan = build(
			resourceSet({
				gateways: [gateway({ tokens: [tokenIssuer("https://a.test", ["x"], "/keys/a.json")] })],
				services: ["own", "users", ...names].map((name) =>
					service(name, variants, name === "users" ? { access: null } : {}),
				),
				experiments: [
					experiment("own", "own", [1, 1], unitOf("sub")),
					...names.map((name) => experiment(`e-${name}`, name, [1, 1], unitOf(`c-${name}`))),
				],
				accessPolicies: [accessPolicy("any", "allow", ["users"], { users: ["*"] })],
			}),
		);
		return ["own", "users"].map((name) => JSON.stringify(virtualHost(plan, name)).length);
	});
	t.same(sizes[0], sizes[1]);
});
