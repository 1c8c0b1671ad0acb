/**
 * Issuer keys and claims change on open connections of a real Envoy without a drain, because they are not part of the
 * listener.
 */
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import t, { type Test } from "tap";
import { type KeySets, keySetName } from "../../../src/compile/envoy/keySet.js";
import type { EnvoyResources } from "../../../src/compile/plan/compiledPlan.js";
import type { Experiment, TokenIssuer } from "../../../src/declare/resources/resource.js";
import type { TypeStatus } from "../../../src/publish/xds/stream.js";
import { startVariantServer } from "../../envoy/variantServer.js";
import { accessPolicy, experiment, gateway, layer, resourceSet, service, variant } from "../../fixtures/resources.js";
import {
	CLAIMS,
	ISSUER,
	issuerOf,
	jwksBytes,
	keyPair,
	type Pair,
	publicJwk,
	signed,
} from "../../trust/tokens/issuer.js";
import { planScene } from "./planScene.js";

t.setTimeout(60_000);

const keys = { from: "file", file: "/keys.json" } as const;

type Ask = (token: string) => Promise<number | string>;

const overHttp1 =
	(port: number, agent: Agent): Ask =>
	async (token) => {
		const sent = request({
			...{ host: "127.0.0.1", port, path: "/x", agent },
			headers: { host: "shop.test", authorization: `Bearer ${token}` },
		}).end();
		const [response] = (await once(sent, "response")) as [IncomingMessage];
		await once(response.resume(), "end");
		return answer(response.statusCode, response.headers["x-variant"]);
	};

const overHttp2 =
	(session: ClientHttp2Session): Ask =>
	async (token) => {
		const stream = session.request({ ":authority": "shop.test", ":path": "/x", authorization: `Bearer ${token}` });
		const [head] = (await once(stream, "response")) as [Record<string, string | number>];
		await once(stream.resume(), "end");
		return answer(Number(head[":status"]), head["x-variant"]);
	};

/** Open connections of HTTP/1.1 and HTTP/2. @returns the status, or the name of the Variant that has answered */
function keptConnections(t: Test, port: number): readonly Ask[] {
	const agent = new Agent({ keepAlive: true, maxSockets: 1 });
	const session = connect(`http://127.0.0.1:${port}`);
	t.teardown(() => {
		agent.destroy();
		session.close();
	});
	return [overHttp1(port, agent), overHttp2(session)];
}

const keySetsOf = (text: string): KeySets => ({ [keySetName(keys)]: text });

const answer = (status: number | undefined, variant: unknown): number | string =>
	status === 200 ? String(variant) : Number(status);

const keySetOf = async (...pairs: readonly (readonly [string, Pair])[]): Promise<string> =>
	jwksBytes(await Promise.all(pairs.map(([kid, pair]) => publicJwk(pair, { kid })))).toString();

const tokenOf = (kid: string, pair: Pair, claims: object = {}): Promise<string> => {
	const iat = Math.floor(Date.now() / 1_000);
	return signed({ ...CLAIMS, iat, exp: iat + 600, ...claims }, pair, { kid });
};

t.test("a removed key is refused and a new one accepted on every connection; streams go on", async (t) => {
	const held: (() => void)[] = [];
	const upstream = await startVariantServer("v1", (socket, head) => {
		socket.write("HTTP/1.1 200 OK\r\nx-variant: v1\r\ncontent-length: 5\r\n\r\n");
		if (!head.includes("/stream")) socket.write("whole");
		else {
			socket.write("be");
			held.push(() => socket.write("gan"));
		}
	});
	t.teardown(() => upstream.close());
	const resources = resourceSet({
		gateways: [gateway({ tokens: [issuerOf({ keys })] })],
		services: [service("shop", [variant("v1", upstream.port)], { access: null })],
		accessPolicies: [accessPolicy("people", "allow", ["shop"], { users: [`${ISSUER}#*`] })],
	});
	const [older, newer] = [await keyPair(), await keyPair()];
	const { envoy, publish, listenersMade } = await planScene(t, resources, keySetsOf(await keySetOf(["k1", older])));
	const port = envoy.port("edge");
	const kept = keptConnections(t, port);
	const [before, after] = [await tokenOf("k1", older), await tokenOf("k2", newer)];
	for (const ask of kept) t.same([await ask(before), await ask(after)], ["v1", 401]);
	const session = connect(`http://127.0.0.1:${port}`);
	t.teardown(() => session.close());
	const stream: ClientHttp2Stream = session.request({
		...{ ":authority": "shop.test", ":path": "/stream", authorization: `Bearer ${before}` },
	});
	const [begun] = await once(stream, "data");
	t.equal(String(begun), "be");
	const made = await listenersMade();

	await publish(resources, keySetsOf(await keySetOf(["k1", older], ["k2", newer])));
	for (const ask of kept) t.same([await ask(before), await ask(after)], ["v1", "v1"], "both, for a while");
	await publish(resources, keySetsOf(await keySetOf(["k2", newer])));
	for (const ask of [...kept, ...keptConnections(t, port)]) t.same([await ask(before), await ask(after)], [401, "v1"]);
	t.equal(await listenersMade(), made, "the listener is the one before");
	t.equal(await envoy.stat("listener_manager.total_filter_chains_draining"), 0);
	for (const end of held) end();
	const [rest] = await once(stream, "data");
	t.equal(String(rest), "gan");
});

t.test("Envoy keeps the last good keys if it cannot read new ones, and still takes routes", async (t) => {
	const upstream = await startVariantServer("v1");
	t.teardown(() => upstream.close());
	const resources = (path: string) =>
		resourceSet({
			gateways: [gateway({ tokens: [issuerOf({ keys })] })],
			services: [service("shop", [variant("v1", upstream.port)], { access: null })],
			accessPolicies: [
				accessPolicy("people", "allow", ["shop"], { users: [`${ISSUER}#*`] }),
				accessPolicy("not-here", "deny", ["shop"], { pathPrefixes: [path] }),
			],
		});
	const pair = await keyPair();
	const { envoy, server, publish } = await planScene(t, resources("/y"), keySetsOf(await keySetOf(["k1", pair])));
	const kept = keptConnections(t, envoy.port("edge"));
	const token = await tokenOf("k1", pair);
	for (const ask of kept) t.equal(await ask(token), "v1");
	/** @returns the report on the filter when Envoy has refused it and taken the rest */
	const refused = () =>
		new Promise<TypeStatus | undefined>((resolve) => {
			const of = server();
			of.onProxiesChanged(() => {
				if (of.proxies().some(({ closed }) => (closed ?? []).length > 0)) t.fail("no Service is closed for it");
				const [{ types } = { types: undefined }] = of.proxies();
				if (types?.extensions?.state === "ERROR" && types.routes?.state === "SYNCED") resolve(types.extensions);
			});
		});
	const refusal = refused();
	void publish(resources("/x"), keySetsOf('{"keys":[]}'));
	const first = await refusal;
	t.equal(first?.source, "Gateway edge");
	t.not(first?.error, "");
	for (const ask of kept) t.equal(await ask(token), 403, "the newest rules, by the last good keys");
	await publish(resources("/y"), keySetsOf(await keySetOf(["k1", pair])));
	for (const ask of kept) t.equal(await ask(token), "v1");
});

/** An Envoy that refuses one of a Gateway's first filters, and its answers. The open Service assigns by a claim. */
async function refusing(t: Test, filter: string) {
	const upstream = await startVariantServer("v1");
	t.teardown(() => upstream.close());
	const resources = (tokens: readonly TokenIssuer[]) =>
		resourceSet({
			gateways: [gateway({ tokens })],
			services: [
				service("shop", [variant("v1", upstream.port)], { access: null }),
				service("open", [variant("v1", upstream.port)], { hosts: ["open.test"] }),
			],
			layers: [layer("models", null)],
			experiments:
				tokens.length === 0 ? [] : [experiment("trial", "open", [1], { unit: { from: "claim", claim: "sub" } })],
			accessPolicies: [
				accessPolicy("all", "allow", ["shop"], { principals: ["anyone"] }),
				accessPolicy("not-bob", "deny", ["shop"], { users: [`${ISSUER}#bob`] }),
			],
		});
	const pair = await keyPair();
	const { envoy, server, publish } = await planScene(t, resources([]));
	const keySets = keySetsOf(await keySetOf(["k1", pair]));
	void publish(resources([issuerOf({ keys })]), keySets, (envoy) => ({
		...envoy,
		extensions: envoy.extensions.map((one) =>
			one.name === filter ? { ...one, typed_config: UNREADABLE[filter] } : one,
		),
	}));
	await new Promise<void>((resolve) =>
		server().onProxiesChanged(() => {
			const [{ types } = { types: undefined }] = server().proxies();
			if (
				types?.extensions?.state === "ERROR" &&
				types.listeners?.state === "SYNCED" &&
				types.routes?.state === "SYNCED"
			)
				resolve();
		}),
	);
	const token = await tokenOf("k1", pair);
	const status = async (host: string, headers: object): Promise<number | undefined> => {
		const sent = request({
			...{ host: "127.0.0.1", port: envoy.port("edge"), path: "/x", agent: false },
			headers: { host, ...headers },
		}).end();
		const [response] = (await once(sent, "response")) as [IncomingMessage];
		await once(response.resume(), "end");
		return response.statusCode;
	};
	return {
		status,
		shown: { authorization: `Bearer ${token}` },
		claims: () => /x-weir-claim/.test(upstream.lastHead()),
	};
}

/** Not a valid RE2 expression. */
const REGEX = { principal_name: { safe_regex: { regex: "(" } } };
const FILTERS = "type.googleapis.com/envoy.extensions.filters.http";
const UNREADABLE: Readonly<Record<string, object>> = {
	"weir.tokens/edge": {
		"@type": `${FILTERS}.jwt_authn.v3.JwtAuthentication`,
		providers: { none: { issuer: "x", local_jwks: { inline_string: "{}" } } },
	},
	"weir.claims.rules/edge": {
		"@type": `${FILTERS}.rbac.v3.RBAC`,
		shadow_rules: { policies: { x: { permissions: [{ any: true }], principals: [{ authenticated: REGEX }] } } },
	},
};

t.test("if the first filter is refused, no token is valid, and other requests are served as before", async (t) => {
	const { status, shown, claims } = await refusing(t, "weir.tokens/edge");
	t.equal(await status("shop.test", {}), 200, "without a token");
	t.equal(await status("shop.test", shown), 401, "one that is shown does not hold");
	t.equal(await status("open.test", shown), 200, "a token that only gives a unit gives no unit");
	t.notOk(claims());
});

t.test("if the second filter is refused, no claim is forwarded, and tokens are valid", async (t) => {
	const { status, shown, claims } = await refusing(t, "weir.claims.rules/edge");
	t.equal(await status("shop.test", shown), 200);
	t.equal(await status("open.test", shown), 200);
	t.notOk(claims());
});

t.test("an invalid token adds no claim, whatever filter follows the verification", async (t) => {
	const upstreams = await Promise.all(["v1", "v2"].map((name) => startVariantServer(name)));
	t.teardown(async () => {
		for (const one of upstreams) await one.close();
	});
	const variants = upstreams.map(({ name, port }) => variant(name, port));
	const resources = (claim: string) =>
		resourceSet({
			gateways: [gateway({ tokens: [issuerOf({ keys })] })],
			services: [service("shop", variants, { access: "open" })],
			layers: [layer("models", null)],
			experiments: [
				experiment("trial", "shop", [0, 1], {
					...{ unit: { from: "claim", claim }, layer: "models", stepsPpm: [1_000_000] },
				}),
			],
		});
	const pair = await keyPair();
	const keySets = keySetsOf(await keySetOf(["k1", pair]));
	let before: EnvoyResources["extensions"] = [];
	const { envoy, publish } = await planScene(t, resources("sub"), keySets);
	await publish(resources("sub"), keySets, (envoy) => {
		before = envoy.extensions;
		return envoy;
	});
	// As if Envoy had refused the others, or its stream had broken between them.
	await publish(resources("role"), keySets, (envoy) => ({
		...envoy,
		extensions: envoy.extensions.map((one) =>
			one.name === "weir.tokens/edge" ? one : (before.find(({ name }) => name === one.name) ?? one),
		),
	}));
	const iat = Math.floor(Date.now() / 1_000) - 3_500;
	const ask = overHttp1(envoy.port("edge"), new Agent());
	t.equal(await ask(await tokenOf("k1", pair, { role: "r" })), "v2", "one that holds does");
	t.match(upstreams[1]?.lastHead(), /x-weir-claim-role/);
	t.equal(await ask(await tokenOf("k1", pair, { role: "r", iat, exp: iat + 6_500 })), "v1", "lives for too long");
	t.notMatch(upstreams[0]?.lastHead(), /x-weir-claim/);
});

t.test("assignment by a claim lasts until the routes change, on every connection", async (t) => {
	const upstreams = await Promise.all(["v1", "v2"].map((name) => startVariantServer(name)));
	t.teardown(async () => {
		for (const one of upstreams) await one.close();
	});
	const variants = upstreams.map(({ name, port }) => variant(name, port));
	const trial = experiment("trial", "shop", [0, 1], {
		...{ unit: { from: "claim", claim: "sub" }, layer: "models", stepsPpm: [1_000_000] },
	});
	const resources = (experiments: readonly Experiment[], standard = "v1") =>
		resourceSet({
			gateways: [gateway({ tokens: [issuerOf({ keys })] })],
			services: [service("shop", variants, { access: "open", defaultVariant: standard })],
			layers: [layer("models", null)],
			experiments,
		});
	const pair = await keyPair();
	const keySet = await keySetOf(["k1", pair]);
	const { envoy, publish } = await planScene(t, resources([]), keySetsOf(keySet));
	const token = await tokenOf("k1", pair, { sub: "ann" });
	const port = envoy.port("edge");
	const older = keptConnections(t, port);
	for (const ask of older) t.equal(await ask(token), "v1");
	await publish(resources([trial]), keySetsOf(keySet));
	for (const ask of [...older, ...keptConnections(t, port)]) t.equal(await ask(token), "v2");
	let going = true;
	const seen = new Set<number | string>();
	// A new claim is logged, so that the listener changes: each on a connection of its own.
	const agent = new Agent({ keepAlive: false });
	const asking = (async () => {
		while (going) seen.add(await overHttp1(port, agent)(token));
	})();
	// Her Variant is v2 before and after: by the Experiment, then by the Service's default.
	for (let round = 0; round < 20; round++) {
		await publish(resources([], "v2"), keySetsOf(keySet));
		await publish(resources([trial]), keySetsOf(keySet));
	}
	going = false;
	await asking;
	t.same([...seen], ["v2"]);
});
