/** Parameters of arms as request headers: only for the arm's live share, byte for byte, and never a client's. */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { bootstrapOf, startEnvoy } from "../../envoy/harness.js";
import { alone, headerValues, rawGet } from "../../envoy/pipeline.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { experiment, resourceSet, service, variant } from "../../fixtures/resources.js";
import { build, COOKIE } from "./neighbours.js";
import { virtualHost, weightedClusters } from "./virtualHosts.js";

const variants = [variant("v1", 9001), variant("v2", 9002)];
/** What Envoy would read as commands, were the percent signs not doubled. */
const AWKWARD = { temperature: "0.2", share: "50%", command: "%PROTOCOL% %% 100%", text: 'a, "b"; c={d}' };
const arms = [
	{ name: "control", variant: "v1", weight: 1, baseline: true },
	{ name: "hot", variant: "v2", weight: 1, baseline: false, parameters: AWKWARD },
];

t.test("only live entries of the arm have its parameter headers, with percent signs doubled", async (t) => {
	const plan = build(resourceSet({ services: [service("s", variants)], experiments: [experiment("e", "s", arms)] }));
	const entries = weightedClusters(virtualHost(plan, "s"));
	const headers = entries.map(({ request_headers_to_add = [] }) =>
		request_headers_to_add.map(({ header }) => [header.key, header.value]),
	);
	const hot = [
		["x-weir-arm", "e/hot"],
		["x-weir-param-temperature", "0.2"],
		["x-weir-param-share", "50%%"],
		["x-weir-param-command", "%%PROTOCOL%% %%%% 100%%"],
		["x-weir-param-text", 'a, "b"; c={d}'],
	];
	const rest = [["x-weir-arm", "e/-"]];
	const control = [["x-weir-arm", "e/control"]];
	// Each stripe but the challenger's own begins with the entry by which it would take over.
	t.same(headers, [hot, control, hot, rest, hot, hot, rest]);
	t.same(
		entries.map(({ weight }) => weight),
		[0, 100_000, 0, 400_000, 100_000, 0, 400_000],
	);
	for (const { request_headers_to_add = [] } of entries) {
		for (const added of request_headers_to_add) t.match(added, { append_action: "OVERWRITE_IF_EXISTS_OR_ADD" });
	}
});

t.test("the table has parameters by full name and as written; a full callout leaves them to the sidecar", async (t) => {
	const plan = build(
		resourceSet({
			services: [service("s", variants)],
			experiments: [experiment("e", "s", arms, { unit: COOKIE })],
		}),
	);
	const written = Object.fromEntries(Object.entries(AWKWARD).map(([key, value]) => [`x-weir-param-${key}`, value]));
	t.same(
		plan.table.services[0]?.experiments[0]?.arms.map(({ parameters }) => parameters),
		[{}, written],
	);
	t.notOk(JSON.stringify(plan.envoy.routes).includes("x-weir-param-"));
	t.match(JSON.stringify(plan.envoy.listeners), /x-weir-param-\[a-z0-9-\]\+/, "which may set them");
});

t.test("behind a real Envoy the upstream gets parameters as written, and never a client's", async (t) => {
	const upstream = await startVariantServer("v");
	t.teardown(() => upstream.close());
	const both = ["v1", "v2"].map((name) => variant(name, upstream.port));
	const plan = compile(
		resourceSet({
			services: [service("hot", both), service("control", both)],
			experiments: ["hot", "control"].map((name) =>
				experiment(
					`e-${name}`,
					name,
					arms.map((arm) => ({ ...arm, weight: arm.name === name ? 1 : 0 })),
					{ stepsPpm: [1_000_000], layer: name },
				),
			),
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
	const envoy = await startEnvoy(t, bootstrapOf(plan));
	const forged = ["x-weir-param-temperature: 9", "X-Weir-Param-Other: 1"].map((line) => Buffer.from(line));
	const unit = Buffer.from("x-user-id: u1");
	const parametersSeen = async (host: string, ...lines: readonly Buffer[]) => {
		const answer = await alone(envoy.port(), rawGet(`${host}.test`, lines));
		t.equal(answer.status, 200);
		const head = upstream.lastHead() ?? "";
		const seen = [...head.matchAll(/^(x-weir-param-[^:]*): (.*)$/gim)].map(([, name, value]) => [name, value]);
		return { arm: headerValues(answer, "x-weir-arm")[0], seen };
	};
	const written = Object.entries(AWKWARD).map(([key, value]) => [`x-weir-param-${key}`, value]);
	t.same(await parametersSeen("hot", unit), { arm: "e-hot/hot", seen: written });
	t.same(await parametersSeen("hot", unit, ...forged), { arm: "e-hot/hot", seen: written });
	t.same(await parametersSeen("control", unit, ...forged), { arm: "e-control/control", seen: [] });
	t.same(await parametersSeen("hot", ...forged), { arm: undefined, seen: [] }, "without a unit no parameters");
});
