/** deploy/secure.yaml, the example of access, identity and operators together, is valid. */
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { KINDS } from "../../../src/declare/resources/kinds.js";
import { validateBootstrap } from "../../envoy/harness.js";
import { fileOf, temporaryDirectory, weir } from "../command.js";

// This file alone would have tap's default of 30 s, which a slow machine needs for Envoy's binary.
t.setTimeout(120_000);

const ROOT = new URL("../../../../", import.meta.url);
const pathOf = (name: string): string => fileURLToPath(new URL(name, ROOT));
const DECLARATION = pathOf("deploy/secure.yaml");
const TESTS = pathOf("deploy/secure-tests.yaml");

t.test("the file is valid, and its table of requests passes", async (t) => {
	const valid = await weir(["validate", "-f", DECLARATION]);
	t.match(valid, { code: 0, stderr: "" });
	const tested = await weir(["policy", "test", "-f", DECLARATION, "-t", TESTS]);
	t.equal(tested.code, 0, tested.stdout.toString() + tested.stderr);
	t.match(tested.stdout.toString(), /^\d\d passed, 0 failed/);
});

t.test("explain prints the deciding component, and the endpoint that the DataClass excludes", async (t) => {
	const { code, stdout } = await weir(["explain", "-f", DECLARATION]);
	t.equal(code, 0);
	const explained = stdout.toString();
	const lines = [
		"  callout: the Service wants each decision signed (callout.sign), and Envoy signs none",
		"    allowed by    auditors-read, clerks-score, own-team, platform/break-glass (until 2027-01-01T00:00:00.000Z)",
		"    forbidden by  nobody-administers; a deny wins",
		"    tried only    without-leavers (shadow)",
		"    else          403 no-policy-allows; an invalid token 401 invalid-token; escaped punctuation in a path 403 not-canonical",
		"    costs         about 79 µs of CPU a request, shared by the Service's rules",
	];
	// After that time it prints `ended`.
	t.match(explained.replace("(ended ", "(until "), `Service employment: access\n${lines.join("\n")}\n`);
	t.match(explained, /Service forecast: access\n {2}native: .*\n.*\n {4}forbidden by {2}no policy\n(.*\n){2}/);
	t.match(explained, /Envoy tries 1 value of its rules/);
	const left =
		/\nService employment: endpoint 10\.9\.0\.1:9001 of Variant v1\n {2}left out: its region us .*\n(.*\n)*Service forecast\n/;
	t.match(explained, left, "beside its Service");
});

t.test("a real Envoy accepts the compiled configuration", async (t) => {
	const mesh = ["--trust-domain", "weir.local", "--identity-socket", "/run/agent.sock"];
	const { code, stdout, stderr } = await weir(["compile", "-f", DECLARATION, ...mesh]);
	t.equal(code, 0, stderr);
	t.equal(await validateBootstrap(JSON.parse(stdout.toString())), null);
});

t.test("the alternatives in its comments are valid too", async (t) => {
	const directory = await temporaryDirectory(t);
	const text = await readFile(DECLARATION, "utf8");
	const shown = (field: string): string => text.replace(`# ${field}:`, `${field}:`);
	const without = (of: string, line: RegExp): string => of.replace(line, "");
	const others = {
		"trusted proxies": without(shown("trustedProxies"), /^ {4}principal: \{requests.*\n/m),
		"a tenant's limit": without(shown("rateLimits"), /^ {6}binding:.*\n/m).replace(
			"principals: [spiffe://weir.local/apps/*]}",
			"principals: [spiffe://weir.local/apps/*], tenants: [acme]}",
		),
	};
	for (const [what, other] of Object.entries(others)) {
		t.not(other, text, what);
		const { code, stderr } = await weir(["validate", "-f", await fileOf(directory, "other.yaml", other)]);
		t.equal(code, 0, `${what}: ${stderr}`);
	}
});

t.test("deploy shows each kind, and each field of access", async (t) => {
	const text = (await deployed()).join("\n");
	for (const kind of KINDS.filter((one) => one !== "Layer")) t.match(text, new RegExp(`^kind: ${kind}$`, "m"));
	for (const field of ["trustedProxies", "binding", "rateLimits", "gates", "senders", "schedule", "condition"])
		t.match(text, new RegExp(`\\b${field}: `), field);
});

async function deployed(): Promise<readonly string[]> {
	const names = (await readdir(pathOf("deploy"))).filter((name) => name.endsWith(".yaml"));
	return Promise.all(names.map((name) => readFile(pathOf(`deploy/${name}`), "utf8")));
}
