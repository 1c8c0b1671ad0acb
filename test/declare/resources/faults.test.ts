/**
 * Declarations with one fault each, and the reported position and fault. Rows: the name, the text of GOOD that is
 * replaced, the new text, the problems.
 */
import t from "tap";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { GOOD, spoil } from "./declaration.js";
import { checkRows } from "./faultTable.js";

t.test("the declaration without a fault has no problem", async (t) => {
	t.same(loadResources([{ name: "w.yaml", text: GOOD }]).problems, []);
});

const faults: readonly [what: string, from: string, to: string, problems: readonly string[]][] = [
	[
		"unknown field of an arm",
		"weight: 1, baseline",
		"wieght: 1, baseline",
		["w.yaml:49:36: unknown field spec.arms[0].wieght"],
	],
	[
		"unknown field of a spec",
		"  access: open",
		"  access: open\n  acces: open",
		["w.yaml:7:3: unknown field spec.acces"],
	],
	[
		"unknown field far from any",
		"  port: 8080",
		"  port: 8080\n  colour: red",
		["w.yaml:19:3: unknown field spec.colour"],
	],
	[
		"connections that are idle for too short a time",
		"  port: 8080",
		"  port: 8080\n  connectionIdleTimeout: 999ms",
		['w.yaml:19:26: spec.connectionIdleTimeout is "999ms"'],
	],
	[
		"connections that are idle for too long",
		"  port: 8080",
		"  port: 8080\n  connectionIdleTimeout: 1h10m1s",
		['w.yaml:19:26: spec.connectionIdleTimeout is "1h10m1s"'],
	],
	[
		"connections that are idle for longer than they are used",
		"  port: 8080",
		"  port: 8080\n  connectionIdleTimeout: 31m\n  tls: {identity: mesh}",
		["w.yaml:19:26: spec.connectionIdleTimeout is longer than a connection with a client certificate is used"],
	],
	["wrong apiVersion", "weir.dev/v1alpha1", "weir.dev/v1", ['w.yaml:1:13: apiVersion is "weir.dev/v1"']],
	[
		"missing apiVersion",
		"apiVersion: weir.dev/v1alpha1\nkind: Gateway",
		"kind: Gateway",
		["w.yaml:14:1: apiVersion is missing"],
	],
	["mistyped kind", "kind: Gateway", "kind: Gatway", ['w.yaml:15:7: unknown kind "Gatway"']],
	["missing kind", "kind: Gateway\n", "", ["w.yaml:14:1: kind is missing"]],
	["missing name", "{name: public}", "{}", ["w.yaml:16:11: metadata.name is missing"]],
	["missing metadata", "metadata: {name: public}\n", "", ["w.yaml:14:1: metadata is missing"]],
	["name with capitals", "{name: public}", "{name: Public}", ['w.yaml:16:18: metadata.name is "Public"']],
	[
		"name of 64 characters",
		"{name: public}",
		"{name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}",
		['w.yaml:16:18: metadata.name is "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"'],
	],
	[
		"reserved name",
		"{name: public}",
		"{name: public, __proto__: {a: 1}}",
		["w.yaml:16:26: metadata.__proto__ is a reserved name"],
	],
	[
		"label that is a number",
		"{name: public}",
		"{name: public, labels: {tier: 1}}",
		["w.yaml:16:41: metadata.labels.tier is the number 1"],
	],
	[
		"namespace with an underscore",
		"{name: public}",
		"{name: public, namespace: a_b}",
		['w.yaml:16:37: metadata.namespace is "a_b"'],
	],
	["missing spec", "spec:\n  port: 8080\n", "", ["w.yaml:14:1: spec is missing"]],
	["port above 65535", "port: 8080", "port: 80800", ["w.yaml:18:9: spec.port is the number 80800"]],
	[
		"octal of YAML 1.2",
		"port: 8080",
		"port: 0o777",
		["w.yaml:18:9: spec.port is 0o777, a number that readers of YAML read differently"],
	],
	[
		"exponent",
		"minUnits: 500",
		"minUnits: 1e3",
		["w.yaml:58:15: spec.rollout.minUnits is 1e3, a number that readers of YAML read differently"],
	],
	["fraction", "minUnits: 500", "minUnits: 0.5", ["w.yaml:58:15: spec.rollout.minUnits is the number 0.5"]],
	[
		"not a number",
		"alpha: 0.05",
		"alpha: .nan",
		["w.yaml:59:12: spec.rollout.alpha is .nan, a number that readers of YAML read differently"],
	],
	[
		"an alpha by which no fault would ever be proved",
		"alpha: 0.05",
		"alpha: 0.0000001",
		["w.yaml:59:12: spec.rollout.alpha is the number 0.0000001"],
	],
	[
		"more gates than allowed",
		"alpha: 0.05",
		`alpha: 0.05\n    gates: [${Array(17).fill('{at: before-step, url: "https://ci.example/"}').join(", ")}]`,
		["w.yaml:60:12: spec.rollout.gates is a list of 17"],
	],
	[
		"a gate timeout above the maximum",
		"alpha: 0.05",
		'alpha: 0.05\n    gates: [{at: before-step, url: "https://ci.example/", timeout: 61s}]',
		['w.yaml:60:68: spec.rollout.gates[0].timeout is "61s"'],
	],
	[
		"the maximum gate timeout",
		"alpha: 0.05",
		'alpha: 0.05\n    gates: [{at: before-step, url: "https://ci.example/", timeout: 1m}]',
		[],
	],
	["alpha of zero", "alpha: 0.05", "alpha: 0", ["w.yaml:59:12: spec.rollout.alpha is the number 0"]],
	["yes", "baseline: true", "baseline: yes", ['w.yaml:49:57: spec.arms[0].baseline is "yes"']],
	[
		"address that is a name",
		"  port: 8080",
		"  port: 8080\n  address: localhost",
		['w.yaml:19:12: spec.address is "localhost"'],
	],
	[
		"tls without a key",
		"  port: 8080",
		"  port: 8080\n  tls: {certificateFile: c.pem}",
		["w.yaml:19:8: spec.tls.privateKeyFile is missing"],
	],
	[
		"host with a port",
		"[employment.example]",
		'["employment.example:80"]',
		['w.yaml:5:11: spec.hosts[0] is "employment.example:80"'],
	],
	["any host", "[employment.example]", '["*"]', ['w.yaml:5:11: spec.hosts[0] is "*"']],
	["wildcard over one label", "[employment.example]", '["*.com"]', ['w.yaml:5:11: spec.hosts[0] is "*.com"']],
	["no host", "[employment.example]", "[]", ["w.yaml:5:10: spec.hosts is an empty list"]],
	[
		"host twice",
		"[employment.example]",
		"[employment.example, EMPLOYMENT.example]",
		["w.yaml:5:31: host employment.example is listed twice"],
	],
	["protocol", "access: open", "access: open\n  protocol: http3", ['w.yaml:7:13: spec.protocol is "http3"']],
	["access word", "access: open", "access: public", ['w.yaml:6:11: spec.access is "public"']],
	["missing access", "  access: open\n", "", ["w.yaml:5:3: Service employment does not say who may call it"]],
	[
		"endpoint with a scheme",
		"address: localhost",
		"address: http://localhost",
		['w.yaml:12:29: spec.variants[1].endpoints[0].address is "http://localhost"'],
	],
	[
		"endpoint that is no IPv4 address",
		"address: 127.0.0.1",
		"address: 127.0.0.1.5",
		['w.yaml:10:29: spec.variants[0].endpoints[0].address is "127.0.0.1.5"'],
	],
	[
		"endpoint twice",
		"endpoints: [{address: localhost, port: 9002}]",
		"endpoints: [{address: localhost, port: 9002}, {address: localhost, port: 9002}]",
		["w.yaml:12:53: spec.variants[1].endpoints[1] repeats localhost:9002, endpoint 0 of the list"],
	],
	[
		"variant twice",
		"name: v2\n",
		"name: v1\n",
		["w.yaml:11:13: spec.variants[1].name repeats v1, variant 0 of the list"],
	],
	[
		"default variant unknown",
		"defaultVariant: v1",
		"defaultVariant: v0",
		['w.yaml:7:19: spec.defaultVariant names "v0", which is no variant of the Service'],
	],
	[
		"retry condition unknown",
		"access: open",
		"access: open\n  retries: {on: [conect-failure]}",
		['w.yaml:7:18: spec.retries.on[0] is "conect-failure"'],
	],
	[
		"retry condition of gRPC on http1",
		"access: open",
		"access: open\n  retries: {on: [unavailable]}",
		["w.yaml:7:18: spec.retries.on[0] is unavailable, a gRPC status, with protocol http1"],
	],
	[
		"health check without a path",
		"access: open",
		"access: open\n  healthCheck: {interval: 1s}",
		["w.yaml:7:16: spec.healthCheck.path is missing"],
	],
	[
		"health check interval that is too short",
		"access: open",
		"access: open\n  healthCheck: {path: /live, interval: 999ms}",
		['w.yaml:7:40: spec.healthCheck.interval is "999ms"'],
	],
	[
		"health check that may delay all changes",
		"access: open",
		"access: open\n  healthCheck: {path: /live, interval: 1h, timeout: 10001ms}",
		['w.yaml:7:53: spec.healthCheck.timeout is "10001ms"'],
	],
	[
		"health check path for grpc",
		"access: open",
		"access: open\n  protocol: grpc\n  healthCheck: {path: /live}",
		["w.yaml:8:23: spec.healthCheck.path is given for protocol grpc"],
	],
	[
		"timeout without a unit",
		"access: open",
		"access: open\n  timeout: 30",
		["w.yaml:7:12: spec.timeout is the number 30"],
	],
	["duration in the wrong order", "every: 10s", "every: 10s5m", ['w.yaml:57:12: spec.rollout.every is "10s5m"']],
	["duration of zero", "every: 10s", "every: 0s", ['w.yaml:57:12: spec.rollout.every is "0s"']],
	[
		"duration of centuries",
		"maxDuration: 14d",
		"maxDuration: 40000d",
		['w.yaml:60:18: spec.rollout.maxDuration is "40000d"'],
	],
	["metric type", "type: mean", "type: median", ['w.yaml:24:9: spec.type is "median"']],
	["quantile without a quantile", "  quantile: 0.99\n", "", ["w.yaml:30:3: spec.quantile is missing"]],
	[
		"quantile for a mean",
		"type: mean",
		"type: mean\n  quantile: 0.5",
		["w.yaml:25:13: spec.quantile is given for type mean"],
	],
	[
		"quantile of outcomes",
		"type: quantile\n  source: latency\n",
		"type: quantile\n",
		["w.yaml:30:9: spec.type is quantile with source outcome"],
	],
	["errors that are a mean", "type: rate\n", "type: mean\n", ["w.yaml:38:9: spec.type is mean with source errors"]],
	[
		"missing for latency",
		"source: latency",
		"source: latency\n  missing: zero",
		["w.yaml:32:12: spec.missing is given for source latency"],
	],
	[
		"unit header that is a cookie's",
		"x-user-id}",
		"Cookie}",
		["w.yaml:46:18: spec.unit.header is cookie, which the connection, the proxy or Weir itself uses"],
	],
	[
		"unit header that is a proof of possession's",
		"x-user-id}",
		"DPoP}",
		["w.yaml:46:18: spec.unit.header is dpop, which the connection, the proxy or Weir itself uses"],
	],
	[
		"segment by a credential",
		"  rollout:\n",
		"  segments: [{name: key, header: dpop}]\n  rollout:\n",
		["w.yaml:55:34: spec.segments[0].header is dpop, which the connection, the proxy or Weir itself uses"],
	],
	[
		"unit that is a pseudo-header",
		"x-user-id}",
		'":authority"}',
		['w.yaml:46:18: spec.unit.header is ":authority", no valid header name'],
	],
	["slot that is empty", "[0%, 100%]", "[50%, 50%]", ["w.yaml:47:31: spec.layer.slot is empty"]],
	["slot the wrong way round", "[0%, 100%]", "[50%, 20%]", ["w.yaml:47:31: spec.layer.slot has its higher end first"]],
	["percentage above 100", "[0%, 100%]", "[0%, 101%]", ['w.yaml:47:36: spec.layer.slot[1] is "101%"']],
	[
		"percentage with five decimals",
		"steps: [2%",
		"steps: [2.00001%",
		['w.yaml:56:13: spec.rollout.steps[0] is "2.00001%"'],
	],
	["step of zero", "steps: [2%", "steps: [0%", ["w.yaml:56:13: spec.rollout.steps[0] is 0%"]],
	[
		"steps that fall",
		"[2%, 10%, 50%",
		"[2%, 50%, 50%",
		["w.yaml:56:22: spec.rollout.steps[2] is not above the step before it (50%)"],
	],
	["no steps", "    steps: [2%, 10%, 50%, 100%]\n", "", ["w.yaml:56:5: spec.rollout.steps is missing"]],
	["one arm", "    - {name: boosted, variant: v2, weight: 1}\n", "", ["w.yaml:49:5: spec.arms is a list of 1"]],
	[
		"arm twice",
		"{name: boosted,",
		"{name: control,",
		["w.yaml:50:14: spec.arms[1].name repeats control, arm 0 of the list"],
	],
	["no baseline", ", baseline: true", "", ["w.yaml:49:5: spec.arms have no baseline"]],
	[
		"two baselines",
		"variant: v2, weight: 1}",
		"variant: v1, weight: 1, baseline: true}",
		["w.yaml:50:57: spec.arms[1].baseline makes a second baseline"],
	],
	[
		"baseline on another variant",
		"name: control, variant: v1",
		"name: control, variant: v2",
		["w.yaml:49:32: baseline arm control is on variant v2, not on the default variant v1 of Service employment"],
	],
	[
		"unknown variant",
		"variant: v2, weight: 1}",
		"variant: v22, weight: 1}",
		['w.yaml:50:32: unknown variant "v22" of Service employment'],
	],
	[
		"negative weight",
		"weight: 1, baseline",
		"weight: -1, baseline",
		["w.yaml:49:44: spec.arms[0].weight is the number -1"],
	],
	[
		"weights all zero",
		"weight: 1, baseline: true}\n    - {name: boosted, variant: v2, weight: 1}",
		"weight: 0, baseline: true}\n    - {name: boosted, variant: v2, weight: 0}",
		["w.yaml:49:5: spec.arms have weights that are all 0"],
	],
	[
		"arm without a live point",
		"weight: 1, baseline",
		"weight: 1000000, baseline",
		["w.yaml:50:44: arm boosted has no live point at step 2%: 1 of 1000000 points are its region"],
	],
	[
		"baseline without weight",
		"weight: 1, baseline",
		"weight: 0, baseline",
		["w.yaml:49:44: baseline arm control has weight 0: nothing can be compared with it"],
	],
	[
		"margin that cannot be exceeded",
		"margin: {absolute: 0.5pp}",
		"margin: {absolute: 100pp}",
		["w.yaml:54:47: margin of error-rate can never be broken: no arm is worse by more than 1"],
	],
	[
		"bare percentage",
		"improveBy: {absolute: 0.5pp}",
		"improveBy: 0.5%",
		['w.yaml:51:39: spec.goal.improveBy is "0.5%"'],
	],
	[
		"absolute percentage",
		"improveBy: {absolute: 0.5pp}",
		"improveBy: {absolute: 0.5%}",
		["w.yaml:51:50: spec.goal.improveBy.absolute is 0.5%, which does not say of what"],
	],
	[
		"both effects",
		"improveBy: {absolute: 0.5pp}",
		"improveBy: {absolute: 0.5pp, relative: 1%}",
		["w.yaml:51:39: spec.goal.improveBy has both absolute and relative"],
	],
	["no effect", "improveBy: {absolute: 0.5pp}", "improveBy: {}", ["w.yaml:51:39: spec.goal.improveBy is empty"]],
	[
		"relative points",
		"margin: {relative: 100%}",
		"margin: {relative: 100pp}",
		['w.yaml:53:48: spec.guardrails[0].margin.relative is "100pp"'],
	],
	[
		"margin of zero",
		"margin: {absolute: 0.5pp}",
		"margin: {absolute: 0}",
		["w.yaml:54:36: spec.guardrails[1].margin is 0, which even equal arms could never be proved to keep"],
	],
	[
		"duration of an accuracy",
		"improveBy: {absolute: 0.5pp}",
		"improveBy: {absolute: 5ms}",
		["w.yaml:51:50: 5ms is a duration, and metric accuracy is no latency"],
	],
	[
		"percentage points of a latency quantile",
		"{relative: 100%}",
		"{absolute: 5pp}",
		["w.yaml:53:48: 5pp are percentage points, and metric latency-p99 is a latency"],
	],
	[
		"absolute margin of zero of a latency quantile",
		"{relative: 100%}",
		"{absolute: 0ms}",
		["w.yaml:53:37: spec.guardrails[0].margin is 0, which even equal arms could never be proved to keep"],
	],
	["unknown metric", "metric: accuracy", "metric: acuracy", ['w.yaml:51:18: unknown Metric "acuracy"']],
	[
		"two guardrails on one metric",
		"metric: latency-p99",
		"metric: error-rate",
		["w.yaml:54:16: metric error-rate has two guardrails"],
	],
	["ratio of what", "type: mean", "type: ratio", ["w.yaml:24:3: spec.denominator is missing for type ratio"]],
	["unknown service", "service: employment", "service: employmant", ['w.yaml:45:12: unknown Service "employmant"']],
	["salt with a space", "  unit:", '  salt: "a b"\n  unit:', ['w.yaml:46:9: spec.salt is "a b"']],
	["tab as indentation", "  port: 8080", "\tport: 8080", ["w.yaml:18:1: YAML: Tabs are not allowed as indentation"]],
	[
		"key twice",
		"  port: 8080",
		"  port: 8080\n  port: 8081",
		["w.yaml:19:3: spec.port is written twice (first at 18:3)"],
	],
	["alias without an anchor", "  port: 8080", "  port: *p", ["w.yaml:18:9: alias *p has no anchor &p before it"]],
	[
		"tag",
		"port: 8080",
		"port: !!python/int 8080",
		["w.yaml:18:9: YAML: Unresolved tag: tag:yaml.org,2002:python/int", 'w.yaml:18:22: spec.port is "8080"'],
	],
	[
		"YAML merge key",
		"  port: 8080",
		"  <<: {port: 8080}",
		["w.yaml:18:3: spec.port is missing", "w.yaml:18:3: unknown field spec.<<"],
	],
	[
		"unclosed bracket",
		"{name: public}",
		"{name: public",
		["w.yaml:17:1: YAML: Flow map in block collection must be sufficiently indented and end with a }"],
	],
];

checkRows(
	t,
	faults.map(([what, from, to, problems]) => [what, spoil(from, to), problems]),
);

t.test("an absolute effect of a latency quantile is a duration, in milliseconds", async (t) => {
	const margin = loadResources([{ name: "w.yaml", text: spoil("{relative: 100%}", "{absolute: 2s}") }]);
	t.same(margin.problems, []);
	t.same(margin.resources.experiments[0]?.spec.guardrails[0]?.margin, { kind: "absolute", value: 2_000 });
	const text = spoil(
		"goal: {metric: accuracy, improveBy: {absolute: 0.5pp}}",
		"goal: {metric: latency-p99, improveBy: {absolute: 5ms}}",
		spoil("    - {metric: latency-p99, margin: {relative: 100%}}\n", ""),
	);
	const goal = loadResources([{ name: "w.yaml", text }]);
	t.same(goal.problems, []);
	t.same(goal.resources.experiments[0]?.spec.goal?.improveBy, { kind: "absolute", value: 5 });
});
