/** What a promotion, or the end of an Experiment, makes of a Service's rules is told before it: nobody applies anything then. */
import t from "tap";
import { RULE_STEPS_MAX, RULE_VALUES_MAX } from "../../src/limits.js";
import { lapsedLimits, sidecarDecides } from "../../src/resources/checks/callout.js";
import { dearRules } from "../../src/resources/checks/rules.js";
import { resourcesOf } from "../../src/resources/kinds.js";
import { parseResources } from "../../src/resources/parse.js";
import type { Status } from "../../src/rollout/status.js";
import { EMPTY_STATUS, initialStatus } from "../../src/rollout/status.js";
import { crossCheck } from "../../src/state/acts/crossCheck.js";
import { standing } from "../../src/state/standingFaults.js";
import { keyOf } from "../../src/state/store/resourceSet.js";
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
} from "../fixtures/resources.js";

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
const told = (resources: ReturnType<typeof resourceSet>, status: Status) =>
	standing({ resources, status }, [], () => true);

t.test(
	"a promotion makes nobody's verdict the sidecar's: rules that tell the winner from the default did so before",
	async (t) => {
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
	},
);

t.test("one that stands, and holds nobody by the default Variant of now, is told", async (t) => {
	const resources = resourceSet({
		gateways: [gateway({ tls: { from: "identity" }, tokens: [tokenIssuer("https://i.test", ["weir"], "/k.json")] })],
		services: [shopOf(true)],
		experiments: [alike],
		accessPolicies: [accessPolicy("staff", "allow", ["shop"], { groups: ["staff"] }), noX],
	});
	t.same(told(resources, EMPTY_STATUS).faults, []);
	const promoted = { ...EMPTY_STATUS, services: { shop: { defaultVariant: "v2" } } };
	t.same(told(resources, promoted).faults, [
		{
			resource: "Service shop",
			words:
				"spec.rateLimits.tenant holds nobody: the sidecar decides access: AccessPolicy no-x judges the Variants of Experiment alike apart, and only who may use all takes part, and Envoy, which holds the limits, verifies no token then; remove rateLimits.tenant, or limit principals",
		},
	]);
	const over = { ...promoted, experiments: { alike: experimentStatus(alike, { phase: "Aborted" }) } };
	t.same(told(resources, over).faults, [], "and no more once nothing is judged apart");
	t.same(lapsedLimits(resourceSet({ ...resources, services: [shopOf(false)] })), []);
});

t.test(
	"rules that wait for the end of an Experiment are told as what they will be, and then as what they are",
	async (t) => {
		const many = Array.from({ length: RULE_VALUES_MAX + 1 }, (_, at) => `spiffe://weir.test/c${at}`);
		const apart = experiment("apart", "shop", [
			{ name: "a", variant: "v1", weight: 1, baseline: true },
			{ name: "b", variant: "v2", weight: 1, baseline: false },
		]);
		const resources = resourceSet({
			gateways: [gateway({ tls: { from: "identity" } })],
			services: [shopOf(false)],
			experiments: [apart],
			accessPolicies: [accessPolicy("many", "allow", ["shop"], { principals: many }), noX],
		});
		const WAITS =
			/ values of rules .* for each request to it once none of its Experiments has the sidecar decide access/;
		t.match(told(resources, EMPTY_STATUS).conditions, [{ resource: "Service shop", words: WAITS }]);
		const over = { ...EMPTY_STATUS, experiments: { apart: experimentStatus(apart, { phase: "Promoted" }) } };
		t.match(told(resources, over).conditions, [
			{ words: /^Envoy tries up to \d+ values .* for each request to it: name/ },
		]);
		const lasting = {
			...resources,
			services: [
				{ ...shopOf(false), spec: { ...shopOf(false).spec, callout: { ...CALLOUT, access: "sidecar" as const } } },
			],
		};
		t.same(dearRules(lasting), []);
	},
);

t.test(
	"rules that a promotion has the sidecar try, beyond its bound, are told by the default Variant of now",
	async (t) => {
		// Ten values of Envoy's each, and many segments of the sidecar's.
		const segments = 100;
		const templates = Array.from(
			{ length: RULE_STEPS_MAX / segments + 1 },
			(_, at) => `/{a}${"/s".repeat(segments)}/p${at}`,
		);
		const resources = resourceSet({
			gateways: [gateway({ tls: { from: "identity" } })],
			services: [shopOf(false)],
			experiments: [alike],
			accessPolicies: [accessPolicy("many", "allow", ["shop"], { principals: ["*"], pathTemplates: templates }), noX],
		});
		t.same(told(resources, EMPTY_STATUS).conditions, [], "Envoy tries them, and looks for each as a whole");
		const promoted = { ...EMPTY_STATUS, services: { shop: { defaultVariant: "v2" } } };
		t.match(told(resources, promoted).conditions, [
			{
				resource: "Service shop",
				words: /^the sidecar can try \d+ rules, values and segments of paths, more than .* for one request to it: /,
			},
		]);
		const over = { ...promoted, experiments: { alike: experimentStatus(alike, { phase: "Aborted" }) } };
		t.same(told(resources, over).conditions, [], "and no more once nothing is judged apart");
	},
);

t.test("what a promotion made of rules is no fault of the next change, and what adds to it is", async (t) => {
	const templates = (count: number) =>
		JSON.stringify(Array.from({ length: count }, (_, at) => `/{a}${"/s".repeat(98)}/p${at}`));
	const HEAD = "apiVersion: weir.dev/v1alpha1\nkind:";
	const many = (count: number) =>
		`${HEAD} AccessPolicy\nmetadata: {name: many}\nspec: {services: [shop], principals: ["*"], pathTemplates: ${templates(count)}}\n`;
	const arms = "[{name: a, variant: v3, weight: 1, baseline: true}, {name: b, variant: v3, weight: 1}]";
	const texts = [
		`${HEAD} Gateway\nmetadata: {name: edge}\nspec: {port: 0, tls: {identity: mesh}}\n`,
		`${HEAD} Service\nmetadata: {name: shop}\nspec: {hosts: [s.test], defaultVariant: v3, variants: [${VARIANTS.map((one) => `{name: ${one}, endpoints: [{address: 127.0.0.1, port: 9}]}`).join()}]}\n`,
		`${HEAD} Experiment\nmetadata: {name: alike}\nspec: {service: shop, unit: {header: x-user-id}, layer: {name: l}, arms: ${arms}, rollout: {steps: [10%, 50%], every: 10m, minUnits: 100}}\n`,
		`${HEAD} AccessPolicy\nmetadata: {name: no-x}\nspec: {action: deny, services: [shop], principals: ["spiffe://weir.test/x"], variants: [v1, v3]}\n`,
	];
	const bound = Math.floor(RULE_STEPS_MAX / 100);
	const stored = [...texts, many(bound + 2)].flatMap((text) => {
		const { resources, problems } = parseResources([{ name: "w", text }]);
		t.same(problems, []);
		return resourcesOf(resources).map((resource) => ({ resource, source: text }));
	});
	const status = {
		experiments: { alike: initialStatus([100_000], 0) },
		services: { shop: { defaultVariant: "v2" } },
	};
	const saying = (count: number, live: Status): readonly string[] =>
		crossCheck(
			stored,
			stored.filter(({ resource }) => keyOf(resource) !== "AccessPolicy many"),
			[{ name: "w", text: many(count) }],
			live,
		).problems.map(({ message }) => message);
	t.same(saying(bound + 3, EMPTY_STATUS), [], "Envoy tries them");
	t.match(saying(bound + 3, status), [/with it the sidecar can try \d+ rules/]);
	t.same(saying(bound + 1, status), [], "fewer than before, though more than the bound");
});
