import t from "tap";
import { checkResources } from "../../../src/declare/resources/checks/check.js";
import { loadResources, parseResources } from "../../../src/declare/resources/parse.js";
import { formatProblem } from "../../../src/declare/resources/resource.js";
import { PROBLEMS_MAX } from "../../../src/limits/index.js";
import { ANYONE, CALLOUT } from "../../fixtures/resources.js";
import { experiment, GOOD, spoil } from "./declaration.js";

const load = (text: string) => loadResources([{ name: "w.yaml", text }]);

t.test("every default is filled in, and the set is plain JSON", async (t) => {
	const { resources, problems } = load(GOOD);
	t.same(problems, []);
	t.same(JSON.parse(JSON.stringify(resources)), resources);
	const metadata = (name: string) => ({ name, namespace: "default", labels: {}, annotations: {} });
	t.same(resources.gateways, [
		{
			kind: "Gateway",
			metadata: metadata("public"),
			spec: {
				address: "127.0.0.1",
				port: 8080,
				exposeArm: false,
				idleTimeoutMs: 300_000,
				connectionIdleTimeoutMs: null,
				trustedProxies: [],
				tls: null,
				region: null,
				tokens: [],
			},
		},
	]);
	t.same(resources.services[0]?.spec, {
		hosts: ["employment.example"],
		protocol: "http1",
		access: "open",
		defaultVariant: "v1",
		variants: [
			{
				name: "v1",
				endpoints: [{ address: "127.0.0.1", port: 9001, locality: { region: "here", zone: "", subZone: "" } }],
			},
			{ name: "v2", endpoints: [{ address: "localhost", port: 9002, locality: null }] },
		],
		timeoutMs: 0,
		retries: null,
		healthCheck: null,
		outlierDetection: null,
		circuitBreaker: null,
		noEndpoint: "fail",
		callout: CALLOUT,
		dataClass: null,
		identities: null,
		rateLimits: { service: null, principal: null, tenant: null },
	});
	t.same(
		resources.metrics.map((metric) => metric.spec),
		[
			{
				type: "mean",
				source: "outcome",
				direction: "up",
				windowMs: 3_600_000,
				quantile: null,
				missing: "exclude",
				perUnit: "mean",
				range: null,
				denominator: null,
				cap: null,
				covariateMs: null,
				senders: [],
			},
			{
				type: "quantile",
				source: "latency",
				direction: "down",
				windowMs: 3_600_000,
				quantile: 0.99,
				missing: "exclude",
				perUnit: "mean",
				range: null,
				denominator: null,
				cap: null,
				covariateMs: null,
				senders: [],
			},
			{
				type: "rate",
				source: "errors",
				direction: "down",
				windowMs: 3_600_000,
				quantile: null,
				missing: "exclude",
				perUnit: "mean",
				range: { lo: 0, hi: 1 },
				denominator: null,
				cap: null,
				covariateMs: null,
				senders: [],
			},
		],
	);
	t.same(resources.experiments[0]?.spec, {
		service: "employment",
		unit: { from: "header", header: "x-user-id" },
		layer: { name: "models", slotLoPpm: 0, slotHiPpm: 1_000_000 },
		salt: null,
		arms: [
			{ name: "control", variant: "v1", weight: 1, baseline: true, parameters: {} },
			{ name: "boosted", variant: "v2", weight: 1, baseline: false, parameters: {} },
		],
		goal: { metric: "accuracy", improveBy: { kind: "absolute", value: 0.005 } },
		guardrails: [
			{ metric: "latency-p99", margin: { kind: "relative", value: 1 } },
			{ metric: "error-rate", margin: { kind: "absolute", value: 0.005 } },
		],
		segments: [],
		rollout: {
			stepsPpm: [20_000, 100_000, 500_000, 1_000_000],
			everyMs: 10_000,
			minUnits: 500,
			alpha: 0.05,
			maxDurationMs: 1_209_600_000,
			onInconclusive: "keep-default",
			onHarm: "roll-back",
			inference: { design: "sequential" },
			holdback: null,
			bandit: null,
			gates: [],
		},
	});
});

t.test("an Experiment needs only service, unit, layer, arms and rollout.steps", async (t) => {
	const { resources, problems } = load(
		spoil("[0%, 100%]", "[0%, 50%]") + experiment("small", { layer: "{name: models, slot: [50%, 100%]}" }),
	);
	t.same(problems.map(formatProblem), []);
	t.same(resources.experiments[1]?.spec.goal, null);
	t.same(resources.experiments[1]?.spec.guardrails, []);
	t.same(resources.experiments[1]?.spec.rollout, {
		stepsPpm: [1_000_000],
		everyMs: 60_000,
		minUnits: 500,
		alpha: 0.05,
		maxDurationMs: null,
		onInconclusive: "keep-default",
		onHarm: "roll-back",
		inference: { design: "sequential" },
		holdback: null,
		bandit: null,
		gates: [],
	});
});

t.test("sub-defaults of a Service's options", async (t) => {
	const options =
		"  access: open\n  retries: {}\n  healthCheck: {path: /live}\n  outlierDetection: {}\n  circuitBreaker: {}";
	const spec = load(spoil("  access: open", options)).resources.services[0]?.spec;
	t.same(spec?.retries, { attempts: 1, on: ["connect-failure", "refused-stream"], perTryTimeoutMs: 0 });
	t.same(spec?.healthCheck, {
		path: "/live",
		intervalMs: 5_000,
		timeoutMs: 1_000,
		healthyThreshold: 2,
		unhealthyThreshold: 3,
	});
	t.same(spec?.outlierDetection, {
		consecutive5xx: 5,
		intervalMs: 10_000,
		baseEjectionTimeMs: 30_000,
		maxEjectionPercent: 50,
	});
	t.same(spec?.circuitBreaker, { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 });
});

t.test("both arms on one Variant make an A/A test", async (t) => {
	t.same(load(spoil("name: boosted, variant: v2", "name: boosted, variant: v1")).problems, []);
});

t.test("names are lower-cased where HTTP compares them so", async (t) => {
	const text = spoil("x-user-id", "X-User-Id", spoil("[employment.example]", '["*.Employment.example"]'));
	const { resources } = load(text);
	t.same(resources.experiments[0]?.spec.unit, { from: "header", header: "x-user-id" });
	t.same(resources.services[0]?.spec.hosts, ["*.employment.example"]);
});

t.test("effects: points, numbers, durations and shares above the whole", async (t) => {
	const effects: readonly [string, object][] = [
		["{absolute: 0.1pp}", { kind: "absolute", value: 0.001 }],
		["{absolute: 0.02}", { kind: "absolute", value: 0.02 }],
		["{absolute: 0}", { kind: "absolute", value: 0 }],
		["{relative: 250%}", { kind: "relative", value: 2.5 }],
		["{relative: 0.7%}", { kind: "relative", value: 0.007 }],
	];
	for (const [written, effect] of effects) {
		const { resources, problems } = load(spoil("improveBy: {absolute: 0.5pp}", `improveBy: ${written}`));
		t.same(problems, [], written);
		t.same(resources.experiments[0]?.spec.goal?.improveBy, effect, written);
	}
	const latency = spoil("type: quantile\n  source: latency\n  quantile: 0.99", "type: mean\n  source: latency");
	const { resources, problems } = load(spoil("{relative: 100%}", "{absolute: 1s500ms}", latency));
	t.same(problems, []);
	t.same(resources.experiments[0]?.spec.guardrails[0]?.margin, { kind: "absolute", value: 1_500 });
	const points = load(spoil("{relative: 100%}", "{absolute: 1pp}", latency)).problems.map(formatProblem);
	t.match(points, [/1pp are percentage points, and metric latency-p99 is a latency; write a duration such as 5ms$/]);
});

t.test("CRLF, a byte order mark, comments, quotes and anchors are plain YAML", async (t) => {
	t.same(load(GOOD.replaceAll("\n", "\r\n")).problems, []);
	t.same(load(`\ufeff${GOOD}`).problems, []);
	t.same(load(`# head\n---\n${GOOD}---\n# tail\n`).problems, []);
	const anchored = spoil(
		"- name: v2\n      endpoints: [{address: localhost, port: 9002}]",
		"- name: v2\n      endpoints: *e",
		spoil("endpoints: [", "endpoints: &e ["),
	);
	const { resources, problems } = load(anchored);
	t.same(problems, []);
	t.same(resources.services[0]?.spec.variants[1]?.endpoints, resources.services[0]?.spec.variants[0]?.endpoints);
});

t.test("resources may be spread over files; problems name their file, in order", async (t) => {
	const parts = GOOD.split("---\n");
	const files = parts.map((text, index) => ({ name: `${index}.yaml`, text }));
	t.same(loadResources(files).problems, []);
	const wrong = files.map((file) => ({ ...file, text: file.text.replace("spec:", "spec:\n  colour: 1") })).reverse();
	t.same(
		loadResources(wrong).problems.map((problem) => problem.position?.file),
		files.map((file) => file.name).reverse(),
	);
	const twice = [...files, { name: "again.yaml", text: parts[0] ?? "" }];
	t.match(loadResources(twice).problems.map(formatProblem), [
		/^again\.yaml:3:18: Service employment is declared already at 0\.yaml:3:18; /,
	]);
});

t.test("all problems are reported at once", async (t) => {
	const text = spoil("alpha: 0.05", "alpha: 5", spoil("type: mean", "type: median", spoil("port: 8080", "port: x")));
	t.equal(load(text).problems.length, 3);
});

t.test("a reference to a resource that did not parse is not reported", async (t) => {
	for (const [from, to] of [
		["protocol", ""],
		["  type: mean", "  type: median"],
	] as const) {
		if (from === "protocol") t.equal(load(spoil("access: open", "access: open\n  protocol: x")).problems.length, 1);
		else t.equal(load(spoil(from, to)).problems.length, 1);
	}
});

t.test("namespaces separate names, layers and default salts", async (t) => {
	const inTeam = GOOD.replaceAll(/metadata: \{name: ([a-z0-9-]+)\}/g, "metadata: {name: $1, namespace: team-a}")
		.replace("employment.example", "team-a.example")
		.replaceAll("port: 900", "port: 901");
	const { resources, problems } = load(`${GOOD}---\n${inTeam}`);
	t.same(problems.map(formatProblem), []);
	t.equal(resources.experiments.length, 2);
	const other = inTeam.replace("namespace: team-a}\nspec:\n  hosts", "namespace: team-b}\nspec:\n  hosts");
	t.match(load(other).problems.map(formatProblem), [/unknown Service "employment"; there are no Services$/]);
});

t.test("a salt that begins with another namespace is refused", async (t) => {
	const [unit, salted] = ["  unit: {header: x-user-id}", "  unit: {header: x-user-id}\n  salt: pricing/2026"];
	t.ok(GOOD.includes(unit));
	t.match(load(GOOD.replace(unit, salted)).problems.map(formatProblem), [
		/salt "pricing\/2026" is not of namespace default/,
	]);
});

t.test("a guarded Service with a client CA is accepted", async (t) => {
	const tls = "  port: 8080\n  tls: {certificateFile: a.pem, privateKeyFile: b.pem, clientCaFile: c.pem}";
	const policy = `---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: web}
spec: {services: [employment], principals: [spiffe://example.org/web], methods: [POST], pathPrefixes: [/v2, /]}
`;
	const text = spoil("  access: open\n", "", spoil("  port: 8080", tls)) + policy;
	const { resources, problems } = load(text);
	t.same(problems.map(formatProblem), []);
	t.equal(resources.services[0]?.spec.access, null);
	t.same(resources.accessPolicies[0]?.spec, {
		...ANYONE,
		action: "allow",
		services: ["employment"],
		principals: ["spiffe://example.org/web"],
		methods: ["POST"],
		pathPrefixes: ["/v2", "/"],
		variants: [],
	});
});

t.test("a set without texts is checked too, without positions", async (t) => {
	const { resources } = parseResources([{ name: "w.yaml", text: spoil("service: employment", "service: other") }]);
	const problems = checkResources(resources);
	t.equal(problems.length, 1);
	t.equal(problems[0]?.position, null);
});

t.test("YAML bombs end quickly with a problem", async (t) => {
	const levels = Array.from({ length: 9 }, (_, level) => {
		const items = Array.from({ length: 10 }, () => (level === 0 ? "x" : `*a${level - 1}`));
		return `k${level}: &a${level} [${items.join(",")}]\n`;
	});
	const bombs: readonly [string, string, RegExp][] = [
		["aliases", levels.join(""), /aliases make the document more than twice as long/],
		["values", `a: [${"1,".repeat(250_000)}]`, /expands to more than 200000 values/],
		["keys", Array.from({ length: 140_000 }, (_, index) => `k${index}: 1\n`).join(""), /more problems/],
		["documents", "---\na: 1\n".repeat(6_000), /more than 5000 documents/],
	];
	for (const [name, text, expected] of bombs) {
		const started = process.cpuUsage();
		const problems = load(name === "keys" ? `kind: Layer\n${text}` : text).problems;
		t.ok(
			problems.some((problem) => expected.test(problem.message)),
			name,
		);
		t.ok(problems.length <= PROBLEMS_MAX + 1, `${name}: ${problems.length} problems`);
		const { user, system } = process.cpuUsage(started);
		const seconds = (user + system) / 1e6;
		t.ok(seconds < 8, `${name}: ${seconds.toFixed(1)} s of CPU`);
	}
	t.equal(({} as Record<string, unknown>).polluted, undefined);
});

t.test("no text makes the parser throw", async (t) => {
	const parts = [
		"{",
		"}",
		"[",
		"]",
		":",
		"- ",
		"\n",
		"  ",
		"&a",
		"*a",
		"!t",
		"|",
		">",
		"'",
		'"',
		"?",
		"#",
		"%",
		"\t",
		"a",
		"---",
		"<<",
		",",
		"kind: Layer",
	];
	let state = 7;
	const next = (): number => {
		state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
		return state / 2 ** 32;
	};
	for (let round = 0; round < 3_000; round++) {
		const text = Array.from(
			{ length: 1 + Math.floor(next() * 30) },
			() => parts[Math.floor(next() * parts.length)],
		).join("");
		const { problems } = load(text);
		if (problems.length === 0) t.fail(`accepted: ${JSON.stringify(text)}`);
	}
	for (let cut = 0; cut < GOOD.length; cut += 7) load(GOOD.slice(0, cut));
});

t.test("aliases add no more than a document's own length and a little", (t) => {
	const layer = (annotations: string): string =>
		`apiVersion: weir.dev/v1alpha1\nkind: Layer\nmetadata:\n  name: a\n  annotations: {${annotations}}\nspec: {}\n`;
	const told = (text: string): readonly string[] =>
		parseResources([{ name: "w.yaml", text }]).problems.map(({ message }) => message);
	const times = (count: number): string => Array.from({ length: count }, (_, at) => `a${at}: *x`).join(", ");
	t.same(told(layer(`a: &x "${"y".repeat(200)}", ${times(10)}`)), []);
	const long = layer(`a: &x "${"y".repeat(50_000)}", a0: *x`);
	t.same(told(long), [], "as long again");
	const twice = "aliases make the document more than twice as long";
	t.ok(told(layer(`a: &x "${"y".repeat(50_000)}", a0: *x, a1: *x, a2: *x`)).includes(twice));
	t.ok(told(layer(`a: &x y, ${times(500)}`)).includes(twice) === false, "short ones that are written out nearly");
	t.ok(told(layer(`a: &x {${"k".repeat(30_000)}: 1}, b: *x, c: *x, d: *x`)).includes(twice), "keys count");
	t.end();
});
