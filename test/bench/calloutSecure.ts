/**
 * Cost of a secure decision in the sidecar (mTLS, a known token, 1,000 rules, an assignment) beside OPA with a ten-line policy.
 * Rounds alternate; figures are medians of the rounds. Then the first verification of an ES256 token is measured in process.
 * Run: `node dist/test/bench/calloutSecure.js`, with Go; the last line is `RESULT {"ratioToOpa":…,"uncachedEs256Us":…}`.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import type { CompiledPlan } from "../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import type { AccessPolicy, GatewayTls } from "../../src/declare/resources/resource.js";
import { WeirError } from "../../src/error.js";
import { startCa } from "../../src/trust/identity/ca.js";
import { followWorkload } from "../../src/trust/identity/workloadClient.js";
import { Admission } from "../../src/trust/tokens/admission.js";
import { TokenVerifier } from "../../src/trust/tokens/verifier.js";
import { mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { accessPolicy, CALLOUT, experiment, gateway, resourceSet, service, variant } from "../fixtures/resources.js";
import {
	AUDIENCE,
	asked,
	ISSUER,
	issuerOf,
	jwksBytes,
	keyPair,
	type Pair,
	publicJwk,
	signed,
} from "../trust/tokens/issuer.js";
import { CLIENT, HOST } from "./callout/declaration.js";
import { clientTls, type Form, type FormDeclaration, startForm } from "./callout/form.js";
import { alternate, medianUs, serverRatio, startLoad } from "./callout/rounds.js";
import { sidecarCommand } from "./callout/sidecar.js";
import { median } from "./native/median.js";
import { peerBinaries } from "./peers/binaries.js";

const ROUNDS = 7;
const REQUESTS = 4_000;
const WARM_UP = 10_000;
const RULES = 1_000;
/** Fewer than one payer's limit of concurrent verifications: all tokens are known before the measurement. */
const USERS = 64;
const UNCACHED_TOKENS = 2_000;
const UNCACHED_ROUNDS = 5;

const say = (line: string): boolean => process.stdout.write(`${line}\n`);

/** One rule that allows, somewhere among those for others: callers, users' groups, and denials. */
function rules(): readonly AccessPolicy[] {
	return Array.from({ length: RULES }, (_, index) => {
		const others = { methods: ["GET", "POST"], pathPrefixes: [`/v2/models/m${index % 7}`] };
		if (index === RULES / 2) {
			const principals = [spiffe(CLIENT), spiffe("batch")];
			return accessPolicy("clients", "allow", ["bench"], {
				principals,
				groups: ["doctors"],
				methods: ["GET", "POST"],
				pathPrefixes: ["/v2/models"],
			});
		}
		if (index % 10 === 0)
			return accessPolicy(`no-${index}`, "deny", ["bench"], { ...others, groups: [`group-${index}`] });
		return accessPolicy(`rule-${index}`, "allow", ["bench"], {
			...others,
			principals: [spiffe(`caller-${index}`)],
			groups: [`group-${index % 50}`],
		});
	});
}

function planOf(tls: GatewayTls, ports: readonly number[], keysFile: string): CompiledPlan {
	const resources = resourceSet({
		gateways: [gateway({ tls, exposeArm: false, tokens: [issuerOf({ keys: { from: "file", file: keysFile } })] })],
		services: [
			service(
				"bench",
				ports.map((port, index) => variant(`v${index + 1}`, port)),
				{ hosts: [HOST], access: null, callout: { ...CALLOUT, access: "sidecar", timeoutMs: 2_000 } },
			),
		],
		experiments: [experiment("e", "bench", [1, 1], { stepsPpm: [500_000] })],
		accessPolicies: rules(),
	});
	return compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, mode: "callout" });
}

async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	await new Promise((resolve) => server.close(resolve));
	if (typeof address !== "object" || address === null) throw new Error("no port");
	return address.port;
}

/** Envoy reaches the sidecar by TCP with mutual TLS. */
function overTls(port: number, files: { certificate: string; key: string; bundle: string }, sidecarId: string) {
	const inFile = (filename: string): object => ({ filename });
	const transport = {
		name: "tls",
		typed_config: {
			"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
			common_tls_context: {
				// As a client Envoy offers TLS 1.2 at most by default.
				tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
				alpn_protocols: ["h2"],
				tls_certificates: [{ certificate_chain: inFile(files.certificate), private_key: inFile(files.key) }],
				validation_context: {
					trusted_ca: inFile(files.bundle),
					match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: sidecarId } }],
				},
			},
		},
	};
	return (bootstrap: object): object => {
		const copy = JSON.parse(JSON.stringify(bootstrap));
		for (const cluster of copy.static_resources.clusters) {
			if (!String(cluster.name).startsWith("weir_sidecar")) continue;
			cluster.transport_socket = transport;
			const [{ lb_endpoints: endpoints }] = cluster.load_assignment.endpoints;
			endpoints[0].endpoint.address = { socket_address: { address: "127.0.0.1", port_value: port } };
		}
		return copy;
	};
}

/** CPU µs for the first verification of a token; all threads of this process. */
async function uncachedUs(pair: Pair): Promise<number> {
	const now = Math.floor(Date.now() / 1_000);
	const jwks = jwksBytes([await publicJwk(pair, { kid: "k1" })]);
	const costs: number[] = [];
	for (let round = 0; round < UNCACHED_ROUNDS; round++) {
		const verifier = new TokenVerifier({
			load: () => () => Promise.resolve(jwks),
			admission: new Admission({ token: { burst: UNCACHED_TOKENS, perSecond: 1 } }),
		});
		verifier.use([{ name: "gw", issuers: [issuerOf()] }]);
		const tokens = await Promise.all(
			Array.from({ length: UNCACHED_TOKENS }, (_, n) => signed(claimsOf(now, `${round}-${n}`), pair)),
		);
		const before = process.cpuUsage();
		for (const token of tokens) {
			const answer = await verifier.verify(asked(token));
			if (answer === null || !("token" in answer)) throw new Error("a good token was refused");
		}
		const { user, system } = process.cpuUsage(before);
		costs.push((user + system) / UNCACHED_TOKENS);
	}
	return median(costs);
}

const claimsOf = (now: number, sub: string) => ({
	iss: ISSUER,
	aud: AUDIENCE,
	sub,
	iat: now,
	exp: now + 3_600,
	groups: ["staff", "doctors"],
	org: { tenant: "acme" },
});

const cleanups: (() => Promise<unknown> | unknown)[] = [];
try {
	const peers = await peerBinaries(say);
	const directory = await mkdtemp(join(tmpdir(), "weir-secure-"));
	cleanups.push(() => rm(directory, { recursive: true, force: true }));
	const file = async (name: string, text: string | Uint8Array): Promise<string> => {
		const path = join(directory, name);
		await writeFile(path, text, { mode: 0o600 });
		return path;
	};
	const tls = await mutualTls({ teardown: (run) => cleanups.push(run) });
	const client = clientTls(tls.ca.certificate, await tls.ca.issue({ spiffeId: spiffe(CLIENT) }));
	const pair = await keyPair();
	const keysFile = await file("keys.json", jwksBytes([await publicJwk(pair, { kid: "k1" })]));
	const now = Math.floor(Date.now() / 1_000);
	const tokens = await Promise.all(Array.from({ length: USERS }, (_, n) => signed(claimsOf(now, `user-${n}`), pair)));
	const load = await startLoad(
		client,
		tokens.map((token) => `authorization: Bearer ${token}`),
	);
	cleanups.push(() => load.stop());

	const plan = planOf(tls.gateway, load.ports, keysFile);
	const table = await file("table.json", JSON.stringify({ version: plan.version, table: plan.table }));
	const ca = await startCa({ directory: join(directory, "ca"), trustDomain: "weir.test" });
	cleanups.push(() => ca.close());
	const sidecarId = spiffe("weir/sidecar");
	const identity = join(directory, "identity.sock");
	await ca.workload(sidecarId, identity);
	await ca.workload(spiffe("weir/envoy/bench"), join(directory, "envoy.sock"));
	const envoy = await followWorkload({ socketPath: join(directory, "envoy.sock") });
	const { certificate, privateKey, trustBundle } = envoy.current();
	envoy.close();
	const port = await freePort();
	const files = {
		certificate: await file("envoy.pem", certificate),
		key: await file("envoy.key", privateKey),
		bundle: await file("bundle.pem", trustBundle),
	};
	const headersOf = () => ({ authorization: `Bearer ${tokens[0]}` });
	const everything = { access: true, assignment: true };
	const byTcp = (socket: string): readonly string[] => [
		...sidecarCommand(table, socket).slice(0, -2),
		...["--listen", `127.0.0.1:${port}`, "--identity", identity],
	];
	const declarations: readonly FormDeclaration[] = [
		{
			name: "opa",
			plan,
			server: (socket) => [peers.opa, socket],
			proves: { access: true, assignment: false },
			headersOf,
		},
		{ name: "weir", plan, server: (socket) => sidecarCommand(table, socket), proves: everything, headersOf },
		{ name: "weirTls", plan, server: byTcp, proves: everything, headersOf, reach: overTls(port, files, sidecarId) },
	];
	const forms: Form[] = [];
	for (const declaration of declarations) {
		const form = await startForm(declaration, join(directory, `${declaration.name}.sock`), client);
		cleanups.push(() => form.stop());
		forms.push(form);
	}
	say(`Envoy ${forms[0]?.envoy.version}; ${RULES} rules, ${USERS} known tokens of ${tokens[0]?.length} bytes`);
	say(`${ROUNDS} rounds of ${REQUESTS} requests per form; CPU µs per request, server + Envoy`);
	const costs = await alternate(load, forms, { rounds: ROUNDS, requests: REQUESTS, warmUp: WARM_UP, say });
	for (const { name } of forms) {
		const [server, own] = [medianUs(costs, name, "server"), medianUs(costs, name, "envoy")];
		say(`${name.padEnd(8)} server ${server.toFixed(1)} µs, Envoy ${own.toFixed(1)} µs per request`);
	}
	say(
		`mutual TLS over TCP: ${serverRatio(costs, "weirTls", "weir").toFixed(2)} times the sidecar's CPU over a UNIX socket`,
	);
	const uncached = await uncachedUs(pair);
	say(`the first verification of an ES256 token: ${uncached.toFixed(0)} µs of CPU`);
	const result = {
		ratioToOpa: Number(serverRatio(costs, "weir", "opa").toFixed(3)),
		uncachedEs256Us: Number(uncached.toFixed(1)),
	};
	say(`RESULT ${JSON.stringify(result)}`);
} catch (error) {
	if (!(error instanceof WeirError)) throw error;
	process.stderr.write(`${error.message}; ${error.hint}\n`);
	process.exitCode = 1;
} finally {
	for (const cleanup of cleanups.reverse()) await cleanup();
}
