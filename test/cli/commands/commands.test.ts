/** The commands that work on files alone: exit codes, messages, bytes. */

import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { EMPTY_KEY_SET } from "../../../src/compile/envoy/keySet.js";
import { CHECKED_ENDPOINTS_MAX } from "../../../src/operate/changes/quota.js";
import { validateBootstrap } from "../../envoy/harness.js";
import { golden, onFiles, transcript } from "../../golden/golden.js";
import { fileOf, MAIN, temporaryDirectory, weir } from "../command.js";

const EXAMPLE = fileURLToPath(new URL("../../../../deploy/example.yaml", import.meta.url));
const PLAIN = fileURLToPath(new URL("../../../../test/fixtures/employment/plain.onnx", import.meta.url));

t.test("validate exits 0 for valid files, 1 with file:line:column for invalid ones, 64 for wrong usage", async (t) => {
	const directory = await temporaryDirectory(t);
	const text = (await readFile(EXAMPLE, "utf8")).replace("variant: v2, weight: 1", "variant: v3, wieght: 1");
	const file = await fileOf(directory, "bad.yaml", text);
	const printed = await transcript(
		onFiles,
		`validate -f ${EXAMPLE}`,
		`validate -f ${file}`,
		"validate",
		"validate -f /does/not/exist",
		`validate -f ${directory}`,
	);
	await golden(t, "validate", printed);
	for (const args of [["nonsense"], ["compile", "-f", EXAMPLE, "--allocation", "150%"]])
		t.equal((await weir(args)).code, 64, args.join(" "));
	t.equal((await weir(["policy", "diff", EXAMPLE, directory])).code, 64, "a directory is no file");
});

t.test("validate reads standard input and several files as one set", async (t) => {
	const [gateway, ...rest] = (await readFile(EXAMPLE, "utf8")).split("\n---\n");
	const directory = await temporaryDirectory(t);
	const file = await fileOf(directory, "rest.yaml", rest.join("\n---\n"));
	const result = await weir(["validate", "-f", "-", "-f", file], gateway);
	t.equal(result.code, 0, result.stderr);
});

t.test("validate refuses declarations that exceed control's quota, with control's message", async (t) => {
	const directory = await temporaryDirectory(t);
	const service = (name: string, count: number): string => {
		const endpoints = Array.from({ length: count }, (_, at) => `{address: ${name}.internal, port: ${at + 1}}`);
		return `apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: ${name}}
spec: {hosts: [${name}.example], access: open, healthCheck: {path: /h}, defaultVariant: v1, variants: [{name: v1, endpoints: [${endpoints.join(", ")}]}]}
`;
	};
	const text = [service("a", 4_000), service("b", CHECKED_ENDPOINTS_MAX - 3_999)].join("---\n");
	t.match(await weir(["validate", "-f", await fileOf(directory, "a.yaml", text)]), {
		code: 1,
		stderr: new RegExp(`^${CHECKED_ENDPOINTS_MAX + 1} endpoints with a healthCheck would be declared, more than`),
	});
});

const gatewayOf = (keyFile: string): string => `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {port: 8080, tokens: [{issuer: "https://id.test", audiences: [shop], jwksFile: ${keyFile}}]}
`;

t.test("compile gives Envoy only keys that can verify a token", async (t) => {
	const directory = await temporaryDirectory(t);
	const [keyFile, file] = [`${directory}/keys.json`, `${directory}/gateway.yaml`];
	await writeFile(file, gatewayOf(keyFile));
	const compiled = async (text: string | null) => {
		if (text !== null) await writeFile(keyFile, text);
		const { code, stdout, stderr } = await weir(["compile", "-f", file, "--format", "envoy"]);
		t.equal(code, 0, stderr);
		const [, jwks] = /"local_jwks": \{\s*("(?:filename|inline_string)": ".*")\s*\}/.exec(stdout.toString()) ?? [];
		const keys = JSON.parse(`{${jwks}}`) as { filename?: string; inline_string?: string };
		return { keys, bootstrap: JSON.parse(stdout.toString()) as object, stderr: stderr.replaceAll(directory, "") };
	};
	const where = "warning: Gateway edge: keys of https://id.test in /keys.json";
	const absent = await compiled(null);
	t.equal(absent.keys.filename, keyFile);
	t.match(absent.stderr, `${where} cannot be read here`);
	const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
	const { privateKey: weak } = generateKeyPairSync("rsa", { modulusLength: 1_024 });
	const own = publicKey.export({ format: "jwk" });
	const secret = { ...privateKey.export({ format: "jwk" }), kid: "secret" };
	const bad = { ...weak.export({ format: "jwk" }), kid: "weak" };
	const some = await compiled(JSON.stringify({ keys: [bad, { ...own, kid: "k", x5c: ["x"] }, secret] }));
	t.same(JSON.parse(some.keys.inline_string ?? ""), {
		keys: [{ ...own, kid: "k", alg: "ES256", use: "sig" }],
	});
	t.match(some.stderr, `${where}: no token is verified by key 1: `);
	t.notMatch(JSON.stringify(some.bootstrap), new RegExp(`weak|${secret.d}`));
	const none = await compiled('{"keys":[]}');
	t.equal(none.keys.inline_string, EMPTY_KEY_SET, "Envoy would refuse a set without a key, and so the listener");
	t.match(none.stderr, `${where}: it holds no key to verify tokens by`);
	t.equal(await validateBootstrap(none.bootstrap), null);
	t.equal(await validateBootstrap(some.bootstrap), null);
	const garbage = await compiled("garbage");
	t.equal(garbage.keys.inline_string, EMPTY_KEY_SET);
});

t.test("validate warns of keys that can verify no token", async (t) => {
	const directory = await temporaryDirectory(t);
	const [keyFile, file] = [`${directory}/keys.json`, `${directory}/gateway.yaml`];
	await writeFile(file, gatewayOf(keyFile));
	const warnings = async (text: string | null): Promise<string> => {
		if (text !== null) await writeFile(keyFile, text);
		const { code, stdout, stderr } = await weir(["validate", "-f", file]);
		t.equal(code, 0);
		t.equal(stdout.toString(), "valid: 1 resource\n");
		return stderr.replaceAll(directory, "");
	};
	const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
	const good = { ...publicKey.export({ format: "jwk" }), kid: "k" };
	t.equal(await warnings(null), "", "a missing key file is no error");
	t.equal(await warnings(JSON.stringify({ keys: [good] })), "");
	t.match(
		await warnings(JSON.stringify({ keys: [good, { kty: "RSA" }] })),
		/^warning: Gateway edge: keys of .*key 2: /,
	);
	t.match(await warnings('{"keys":[]}'), "it holds no key");
	t.match(await warnings("garbage"), "are no key set");
});

t.test("assign answers each line with the same bytes, a tab and the arm", async (t) => {
	const ids = Buffer.concat([
		Buffer.from("user-1\nuser-2\n  user-1\t\n\na b\na,b\n"),
		Buffer.from([0xff, 0xfe, 0x0a, 0x0d, 0x0a]),
		Buffer.from("last-without-newline"),
	]);
	const { code, stdout } = await weir(
		["assign", "-f", EXAMPLE, "--experiment", "boosted-vs-logistic", "--allocation", "100%"],
		ids,
	);
	t.equal(code, 0);
	const lines = stdout.toString("latin1").split("\n");
	t.equal(lines[0], "user-1\tboosted");
	t.equal(lines[1], "user-2\tcontrol");
	t.equal(lines[2], "  user-1\t\tboosted", "surrounding blanks are trimmed for the hash, kept in the answer");
	t.same(lines.slice(3, 8), ["\t-", "a b\t-", "a,b\t-", "\xff\xfe\t-", "\r\t-"]);
	t.match(lines[8], /^last-without-newline\t(control|boosted)$/);
	t.equal(lines[9], "");
	const unknown = await weir(["assign", "-f", EXAMPLE, "--experiment", "other"]);
	t.equal(unknown.code, 64);
	t.match(unknown.stderr, "boosted-vs-logistic", "the known names are listed");
});

t.test("compile prints the first step unless --allocation is given", async (t) => {
	const points = async (...more: string[]) => {
		const { stdout, code } = await weir(["compile", "-f", EXAMPLE, "--format", "envoy", ...more]);
		t.equal(code, 0);
		return [...stdout.toString().matchAll(/"weight": (\d+)/g)].map(([, weight]) => Number(weight));
	};
	const first = await points();
	t.equal(
		first.reduce((sum, one) => sum + one, 0),
		1_000_000,
	);
	t.ok(first.includes(10_000), "2 % of the slot, half of it to each arm");
	const full = await points("--allocation", "100%");
	t.same(
		full.filter((one) => one > 0),
		[500_000, 500_000],
	);
});

t.test("explain prints every rule and marks an open Service", async (t) => {
	await golden(t, "explain", await transcript(onFiles, `explain -f ${EXAMPLE}`));
});

t.test("schema is JSON Schema that names every kind", async (t) => {
	const { stdout } = await weir(["schema"]);
	const schema = JSON.stringify(JSON.parse(stdout.toString()));
	for (const kind of ["Gateway", "Service", "Layer", "Experiment", "Metric", "AccessPolicy"])
		t.match(schema, `"${kind}"`);
	t.match(schema, "2020-12");
	const committed = await readFile(new URL("../../../../deploy/schema.json", import.meta.url), "utf8");
	t.equal(committed, stdout.toString(), "deploy/schema.json is what `weir schema` prints");
});

t.test("no role opens a TCP listener without an identity", async (t) => {
	const directory = await temporaryDirectory(t);
	for (const listener of [
		["control", "--api-port", "0"],
		["control", "--api-address", "0.0.0.0", "--api-port", "0"],
		["control", "--xds-listen", "127.0.0.1:0", "--no-access-log-listen"],
		["ingest", "--access-log-listen", "127.0.0.1:0"],
	]) {
		const { code, stderr } = await weir([...listener, "--data", directory]);
		t.equal(code, 64, stderr);
		t.match(stderr, /needs an identity/);
	}
	const issuer = ["--operator-issuer", "https://i.test", "--operator-audience", "a", "--operator-keys", "/k.json"];
	t.match(await weir(["control", "--data", directory, ...issuer]), {
		code: 64,
		stderr: /only by the API's TCP listener.*add --api-port/s,
	});
	t.match(await weir(["control", "--data", directory, ...issuer.slice(0, 2)]), { code: 64 });
	for (const part of ["envoy", "sidecar"]) {
		const { code, stderr } = await weir([part, "--data", directory, "--control", "127.0.0.1:1"]);
		t.equal(code, 64, stderr);
		t.match(stderr, /mTLS only/);
	}
});

t.test("a remote Envoy needs an access-log address, or the option that it has none", async (t) => {
	const directory = await temporaryDirectory(t);
	const identity = ["--data", directory, "--identity", "/nowhere.sock"];
	const remote = ["--control", "127.0.0.1:1", "--control-id", "spiffe://weir.local/weir/control"];
	const xds = ["control", ...identity, "--xds-listen", "127.0.0.1:0"];
	for (const [args, words] of [
		[["envoy", ...identity, ...remote], /add --access-log ADDRESS:PORT .*or --no-access-log/],
		[xds, /add --access-log-listen ADDRESS:PORT, or --no-access-log-listen/],
		[["sidecar", ...identity, ...remote, "--table", "t.json", "--socket", "s.sock"], /exclude each other/],
	] as const) {
		const { code, stderr } = await weir(args);
		t.not(code, 0, args.join(" "));
		t.match(stderr, words, args.join(" "));
	}
	const control = spawn(process.execPath, [MAIN, ...xds, "--no-access-log-listen"], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	t.teardown(() => control.kill("SIGKILL"));
	let log = "";
	for await (const chunk of control.stderr) {
		log += chunk;
		if (log.includes("\n")) break;
	}
	t.match(log, /the agent at \/nowhere\.sock/, "with that option control asks for its identity");
});

t.test("a predictor without a complete list of trusted clients does not start", async (t) => {
	const model = ["predictor", "--model", `m=${PLAIN}`];
	for (const [args, words] of [
		[["--clients", "spiffe://weir.local/weir/envoy/*"], /--clients needs an identity/],
		[["--clients", "*"], /'\*' does not begin with spiffe/],
		[["--decision", "demand", "--as", "a/b"], /needs an identity/],
		[["--identity", "/nowhere.sock", "--decision", "demand"], /whose decisions count/],
		[["--identity", "/nowhere.sock", "--decision", "demand", "--as", "employment"], /whose decisions count/],
		[["--address", "0.0.0.0"], /does not listen on '0\.0\.0\.0'/],
	] as const) {
		const { code, stderr } = await weir([...model, ...args]);
		t.not(code, 0, args.join(" "));
		t.match(stderr, words);
	}
});

t.test("the help of up and control describes the health checks", async (t) => {
	for (const command of ["up", "control"]) {
		const { code, stdout } = await weir([command, "--help"]);
		t.equal(code, 0);
		t.match(
			stdout.toString(),
			/GET \/readyz {3}503 .* for more than 5 s the published revision is older than the state/,
			command,
		);
	}
});

t.test(
	"the help of commands that call control lists the credentials; that of control lists the token options",
	async (t) => {
		const helpOf = async (...command: string[]) => (await weir([...command, "--help"])).stdout.toString();
		for (const command of [["apply"], ["rollback"], ["audit", "requests"], ["promote"]]) {
			const help = await helpOf(...command);
			for (const variable of ["WEIR_API_CERT", "WEIR_API_KEY", "WEIR_API_CA", "WEIR_API_SERVER", "WEIR_API_TOKEN_FILE"])
				t.match(help, variable, command.join(" "));
		}
		t.notMatch(await helpOf("validate"), "WEIR_API", "which calls no API");
		t.match(await helpOf("control"), /--operator-issuer, --operator-audience and --operator-keys.*together/s);
	},
);

t.test("a missing socket is reported as missing, whatever the mode of its folder", async (t) => {
	const directory = await temporaryDirectory(t);
	await chmod(directory, 0o755);
	const path = `${directory}/nosuch.sock`;
	t.match(await weir(["status", "--api", `unix:${path}`]), {
		code: 1,
		stderr: new RegExp(`there is no socket ${path}`),
	});
});

t.test("a time that is not a valid date is refused", async (t) => {
	for (const day of ["2026-02-30", "2026-13-01"]) {
		for (const command of [
			["audit", "requests"],
			["policy", "shadow"],
		]) {
			const { code, stderr } = await weir([...command, "--since", `${day}T00:00:00Z`, "--api", "http://127.0.0.1:9"]);
			t.equal(code, 64, stderr);
			t.match(stderr, /is no time/);
		}
	}
});
