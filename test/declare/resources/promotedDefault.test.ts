/** Effects of a promotion or an Experiment's end on a Service's rules are reported in advance, as no apply follows. */
import t from "tap";
import type { Status } from "../../../src/decide/rollout/status.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { lapsedLimits, sidecarDecides } from "../../../src/declare/resources/checks/callout.js";
import { resourceTitle } from "../../../src/declare/resources/position.js";
import { faultsOf } from "../../../src/operate/api/statusAnswer.js";
import {
	accessPolicy,
	CALLOUT,
	experiment,
	experimentStatus,
	gateway,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../../fixtures/resources.js";

const VARIANTS = ["v1", "v2", "v3"];

const alike = experiment("alike", "shop", [
	{ name: "a", variant: "v3", weight: 1, baseline: true },
	{ name: "b", variant: "v3", weight: 1, baseline: false },
]);
const noX = accessPolicy("no-x", "deny", ["shop"], { principals: ["spiffe://weir.test/x"], variants: ["v1", "v3"] });
const shopOf = (tenant: boolean) =>
	service(
		"shop",
		VARIANTS.map((name) => variant(name, 9)),
		{
			access: null,
			callout: CALLOUT,
			rateLimits: { service: null, principal: null, tenant: tenant ? { requests: 10, perMs: 1_000 } : null },
		},
	);
const effects = (resources: ReturnType<typeof resourceSet>, status: Status) =>
	faultsOf({ resources, status }).map(({ resource, message }) => ({ resource: resourceTitle(resource), message }));

t.test("a promotion never moves the verdict to the sidecar: it already judges if Variants differ", async (t) => {
	const subsets = Array.from({ length: 2 ** VARIANTS.length }, (_, bits) =>
		VARIANTS.filter((_, at) => (bits & (1 << at)) !== 0),
	);
	const experimentOf = (name: string, variants: readonly string[]) =>
		experiment(
			name,
			"shop",
			variants.map((one, at) => ({ name: `a${at}`, variant: one, weight: 1, baseline: at === 0 })),
		);
	let moved = 0;
	for (const action of ["allow", "deny"] as const) {
		for (const named of subsets.filter(({ length }) => length > 0)) {
			for (const challengers of subsets) {
				for (const others of subsets) {
					const shop = shopOf(true);
					const set = resourceSet({
						services: [shop],
						experiments: [experimentOf("one", ["v1", ...challengers]), experimentOf("two", ["v1", ...others])],
						accessPolicies: [
							accessPolicy("all", "allow", ["shop"], { principals: ["*"] }),
							accessPolicy("judging", action, ["shop"], { principals: ["spiffe://weir.test/x"], variants: named }),
						],
					});
					if (sidecarDecides({ set }, shop) !== null) continue;
					for (const winner of [...challengers, ...others]) {
						moved++;
						const after = { ...shop, spec: { ...shop.spec, defaultVariant: winner } };
						if (sidecarDecides({ set: { ...set, services: [after] } }, after) !== null)
							t.fail(`${action} ${named} with ${challengers} and ${others}: ${winner} wins`);
					}
				}
			}
		}
	}
	t.ok(moved > 100, `${moved} promotions`);
});

t.test("an existing policy without effect under the current default Variant is reported", async (t) => {
	const resources = resourceSet({
		gateways: [gateway({ tls: { from: "identity" }, tokens: [tokenIssuer("https://i.test", ["weir"], "/k.json")] })],
		services: [shopOf(true)],
		experiments: [alike],
		accessPolicies: [accessPolicy("staff", "allow", ["shop"], { groups: ["staff"] }), noX],
	});
	t.same(effects(resources, EMPTY_STATUS), []);
	const promoted = { ...EMPTY_STATUS, services: { shop: { defaultVariant: "v2" } } };
	t.same(effects(resources, promoted), [
		{
			resource: "Service shop",
			message:
				"spec.rateLimits.tenant has no effect: the sidecar decides access: AccessPolicy no-x judges the Variants of Experiment alike apart, and only who may use all takes part, and Envoy, which holds the limits, verifies no token then; remove rateLimits.tenant, or limit principals",
		},
	]);
	const over = { ...promoted, experiments: { alike: experimentStatus(alike, { phase: "Aborted" }) } };
	t.same(effects(resources, over), [], "no effect once all Variants have the same rules");
	t.same(lapsedLimits(resourceSet({ ...resources, services: [shopOf(false)] })), []);
});
