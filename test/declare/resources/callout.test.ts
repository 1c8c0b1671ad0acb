/** Service spec.callout: its fields, and that a callout which carries a verdict never lets a request pass unanswered. */
import t from "tap";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { CALLOUT } from "../../fixtures/resources.js";
import { GOOD, guarded, spoil } from "./declaration.js";
import { checkRows, problemsOf, type Row, shortProblemsOf } from "./faultTable.js";

const open = (written: string): string => spoil("  access: open", `  access: open\n  callout: ${written}`);

const OPEN_SIDECAR =
	"w.yaml:7:21: spec.callout.access is sidecar, but the Service is open: there is no access to decide";

const rows: readonly Row[] = [
	["a word", open("sidecar"), [`w.yaml:7:12: spec.callout is "sidecar"`]],
	["a list", open("[access]"), [`w.yaml:7:12: spec.callout is a list of 1`]],
	["nothing", open("null"), [`w.yaml:7:12: spec.callout is empty`]],
	["access word", open("{access: envoy}"), ['w.yaml:7:21: spec.callout.access is "envoy"']],
	["timeout of zero", open("{timeout: 0s}"), ['w.yaml:7:22: spec.callout.timeout is "0s"']],
	["timeout without a unit", open("{timeout: 200}"), [`w.yaml:7:22: spec.callout.timeout is the number 200`]],
	["onFailure word", open("{onFailure: allow}"), ['w.yaml:7:24: spec.callout.onFailure is "allow"']],
	["maxStaleness of zero", open("{maxStaleness: 0s}"), ['w.yaml:7:27: spec.callout.maxStaleness is "0s"']],
	[
		"maxStaleness without a unit",
		open("{maxStaleness: 10}"),
		[`w.yaml:7:27: spec.callout.maxStaleness is the number 10`],
	],
	["onStale word", open("{onStale: default-variant}"), ['w.yaml:7:22: spec.callout.onStale is "default-variant"']],
	["mistyped field", open("{onstale: deny}"), [`w.yaml:7:13: unknown field spec.callout.onstale`]],
	["unknown field", open("{retry: 1}"), [`w.yaml:7:13: unknown field spec.callout.retry`]],
	["the sidecar for a Service that is open", open("{access: sidecar}"), [OPEN_SIDECAR]],
	[
		"only that is reported, without its consequences",
		open("{access: sidecar, onFailure: default-variant, onStale: assign}"),
		[OPEN_SIDECAR],
	],
];

checkRows(t, rows);

const COOKIE = "{cookie: {name: weir_id}}";
const HEADER = "{header: x-user-id}";

/** The Service's callout stands in line 6. */
const refusals = (column: { onFailure: number | null; onStale: number | null }, why: string): readonly string[] => [
	...(column.onFailure === null
		? []
		: [
				`w.yaml:6:${column.onFailure}: spec.callout.onFailure is default-variant, but ${why}: without its answer access must be denied`,
			]),
	...(column.onStale === null
		? []
		: [`w.yaml:6:${column.onStale}: spec.callout.onStale is assign, but ${why}: with old rules access must be denied`]),
];

t.test("passing without an answer is refused if the sidecar decides access", async (t) => {
	const asked = "the sidecar decides access: the Service asks for it (callout.access: sidecar)";
	const apart =
		"the sidecar decides access: AccessPolicy web judges the Variants of Experiment boosted-vs-logistic apart, and only who may use all takes part";
	for (const [unit, variants] of [
		[HEADER, "[]"],
		[HEADER, "[v1]"],
		[COOKIE, "[]"],
		[COOKIE, "[v1]"],
	] as const) {
		const said = (callout: string) => shortProblemsOf(guarded({ callout, unit, policy: `variants: ${variants}` }));
		const name = `unit ${unit}, variants ${variants}`;
		t.same(
			said("{access: sidecar, onFailure: default-variant}"),
			refusals({ onFailure: 41, onStale: null }, asked),
			`${name}: access: sidecar`,
		);
		t.same(said("{access: sidecar, onStale: assign}"), refusals({ onFailure: null, onStale: 39 }, asked), name);
		t.same(said("{access: sidecar}"), [], `${name}: the defaults fail closed`);
		const chosen = variants === "[v1]";
		const native = said("{onFailure: default-variant, onStale: assign}");
		t.same(native, chosen ? refusals({ onFailure: 24, onStale: 50 }, apart) : [], `${name}: access: native`);
		t.same(said("{}"), [], `${name}: no settings`);
	}
});

t.test("policies on all Variants move the verdict to a sidecar that already assigns", async (t) => {
	const judges = "the sidecar decides access: AccessPolicy web judges Variants, and the sidecar chooses them";
	for (const [unit, want] of [
		[HEADER, []],
		[COOKIE, refusals({ onFailure: 24, onStale: 50 }, judges)],
	] as const) {
		const callout = "{onFailure: default-variant, onStale: assign}";
		t.same(shortProblemsOf(guarded({ callout, unit, policy: "variants: [v1, v2]" })), want, unit);
	}
});

t.test("a Gateway with trusted proxies moves the verdict to the sidecar, except for an open Service", async (t) => {
	const callout = "{onFailure: default-variant, onStale: assign}";
	const proxies = '  trustedProxies: ["spiffe://example.org/proxy"]\n';
	const proxied = (text: string): string => text.replace("  tls:", `${proxies}  tls:`);
	const why =
		"the sidecar decides access: Gateway public has trusted proxies, and Envoy's rules see the proxy, not the client that it names";
	const text = guarded({ callout, policy: "methods: [GET]" });
	t.same(shortProblemsOf(text), []);
	t.same(shortProblemsOf(proxied(text)), refusals({ onFailure: 24, onStale: 50 }, why));
	const tls = "  port: 8080\n  tls: {identity: mesh}\n";
	t.same(shortProblemsOf(proxied(spoil("  port: 8080\n", tls, open(callout)))), []);
});

t.test("an invalid callout is refused for its own Service only", async (t) => {
	const other = `---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: other}
spec:
  hosts: [other.example]
  access: open
  defaultVariant: v1
  variants: [{name: v1, endpoints: []}]
  callout: {onFailure: default-variant, onStale: assign}
`;
	const text = guarded({ callout: "{}", unit: COOKIE, policy: "variants: [v1]" });
	t.same(shortProblemsOf(text + other), []);
	const elsewhere = text.replace("callout: {}", "callout: {onFailure: default-variant}") + other;
	t.equal(problemsOf(elsewhere).length, 1);
	const judgedOther = `---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: judging}
spec: {services: [other], principals: [spiffe://example.org/web], variants: [v1]}
`;
	const mine = guarded({ callout: "{onFailure: default-variant}", unit: COOKIE, policy: "variants: []" });
	t.same(
		shortProblemsOf(mine + other.replace("  access: open\n", "") + judgedOther),
		[],
		"a policy of another Service",
	);
});

t.test("an open Service may pass requests unanswered, but not by default", async (t) => {
	const calloutOf = (text: string) => {
		const { resources, problems } = loadResources([{ name: "w.yaml", text }]);
		t.same(problems, []);
		return resources.services[0]?.spec.callout;
	};
	const defaults = CALLOUT;
	t.same(calloutOf(GOOD), defaults);
	t.same(calloutOf(open("{}")), defaults);
	const said = "{access: native, timeout: 50ms, onFailure: default-variant, maxStaleness: 1h, onStale: assign}";
	const all = {
		...defaults,
		timeoutMs: 50,
		onFailure: "default-variant",
		maxStalenessMs: 3_600_000,
		onStale: "assign",
	};
	t.same(calloutOf(open(said)), all);
	t.same(calloutOf(spoil(HEADER, COOKIE, open(said))), all);
});
