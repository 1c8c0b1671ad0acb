/**
 * Open connections of a real Envoy while authorisation and assignment move between Envoy and the sidecar: each request
 * gets the verdict of the old rules or of the new ones, also from a sidecar without the newest plan.
 */
import { writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { connect } from "node:http2";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { dynamicBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { ResourceSet, Service } from "../../../src/declare/resources/resource.js";
import { XdsServer } from "../../../src/publish/xds/server.js";
import { TokenVerifier } from "../../../src/trust/tokens/verifier.js";
import { temporaryDirectory } from "../../cli/command.js";
import { startEnvoy } from "../../envoy/harness.js";
import { startVariants } from "../../envoy/variantServer.js";
import {
	accessPolicy,
	experiment,
	gateway,
	layer,
	PATIENT,
	resourceSet,
	service,
	variant,
} from "../../fixtures/resources.js";
import { CLAIMS, ISSUER, issuerOf, jwksBytes, keyPair, publicJwk, signed } from "../../trust/tokens/issuer.js";
import { startSidecar } from "./rig.js";

t.setTimeout(120_000);

interface Reply {
	readonly status: number;
	readonly cookie: boolean;
	readonly text: string;
}

type Ask = (headers: Readonly<Record<string, string>>, path: string) => Promise<Reply>;

async function replyOf(body: Readable, head: Omit<Reply, "text">): Promise<Reply> {
	return { ...head, text: await text(body) };
}

t.test("requests on open connections get only verdicts of the plans, and every cookie keeps its arm", async (t) => {
	const directory = await temporaryDirectory(t);
	const [pair, file] = [await keyPair(), join(directory, "keys.json")];
	await writeFile(file, jwksBytes([await publicJwk(pair, { kid: "k1" })]));
	const ports = (await startVariants(t, 2)).map(({ port }) => port);
	const on = [variant("v1", ports[0] ?? 0), variant("v2", ports[1] ?? 0)];
	const gateways = [gateway({ tokens: [issuerOf({ keys: { from: "file", file } })] })];
	const plan = (fields: Partial<Service["spec"]>, more: Partial<ResourceSet> = {}) =>
		compile(
			resourceSet({
				gateways,
				services: [service("shop", on, { access: null, callout: PATIENT, ...fields })],
				accessPolicies: [
					accessPolicy("people", "allow", ["shop"], { users: [`${ISSUER}#*`] }),
					accessPolicy("no-mallory", "deny", ["shop"], { users: [`${ISSUER}#mallory`] }),
					accessPolicy("no-admin", "deny", ["shop"], { pathPrefixes: ["/admin"] }),
				],
				...more,
			}),
			EMPTY_STATUS,
			{ collectors: NO_COLLECTORS, sidecar: "always", installation: "one" },
		);
	const cookie = { from: "cookie", cookie: "unit", maxAgeMs: 86_400_000 } as const;
	const trial = {
		layers: [layer("models", null)],
		experiments: [experiment("trial", "shop", [1, 1], { unit: cookie })],
	};
	const open = plan({ access: "open" }, { accessPolicies: [] });
	const native = plan({});
	const asked = plan({ callout: { ...PATIENT, access: "sidecar" } });
	const assigned = plan({}, trial);

	const verifier = new TokenVerifier();
	verifier.use(native.table.gateways);
	const sidecar = await startSidecar(t, open, { nowMs: Date.now, verifyToken: verifier.verify });
	const server = new XdsServer();
	t.teardown(() => server.close());
	const socketPath = join(directory, "ads.sock");
	await server.listen({ socketPath });
	let revision = 0;
	const publish = async (next: typeof open, isHeard = true): Promise<void> => {
		const wanted = ++revision;
		const done = new Promise<void>((resolve) => server.onAcknowledged((one) => one === wanted && resolve()));
		if (isHeard) sidecar.tables.put(next);
		sidecar.tables.confirm();
		server.publish(next, wanted);
		await done;
	};
	const first = publish(open);
	const options = { collectors: NO_COLLECTORS, nodeId: "envoy-1", sidecarSocket: sidecar.socketPath };
	const envoy = await startEnvoy(t, (adminSocket) => dynamicBootstrap(socketPath, { ...options, adminSocket }));
	await first;

	const http1 = (): Ask => {
		const agent = new Agent({ keepAlive: true, maxSockets: 1 });
		t.teardown(() => agent.destroy());
		return (headers, path) =>
			new Promise((resolve, reject) => {
				const where = { host: "127.0.0.1", port: envoy.port("edge"), path, agent };
				request({ ...where, headers: { host: "shop.test", ...headers } }, (response) => {
					const { statusCode: status = 0, headers } = response;
					replyOf(response, { status, cookie: headers["set-cookie"] !== undefined }).then(resolve, reject);
				})
					.on("error", reject)
					.end();
			});
	};
	const http2 = (): Ask => {
		const session = connect(`http://127.0.0.1:${envoy.port("edge")}`);
		t.teardown(() => session.close());
		return (headers, path) =>
			new Promise((resolve, reject) => {
				const stream = session.request({ ":authority": "shop.test", ":path": path, ...headers });
				stream.on("response", (head) => {
					const answer = { status: Number(head[":status"]), cookie: head["set-cookie"] !== undefined };
					replyOf(stream, answer).then(resolve, reject);
				});
				stream.on("error", reject).end();
			});
	};
	const iat = Math.floor(Date.now() / 1_000);
	const bearer = async (sub: string) => ({
		authorization: `Bearer ${await signed({ ...CLAIMS, sub, iat, exp: iat + 600 }, pair)}`,
		cookie: `unit=${"a".repeat(22)}`,
	});
	const [ann, mallory] = [await bearer("ann"), await bearer("mallory")];
	const answers = async (ask: Ask): Promise<string> => {
		const answers = [];
		for (const [who, path] of [
			[ann, "/x"],
			[mallory, "/x"],
			[ann, "/%61dmin/x"],
			[ann, "/p/%2e%2e/admin/x"],
			[ann, "/p/../admin/x"],
		] as const) {
			const { status, cookie } = await ask(who, path);
			answers.push(`${status}${cookie ? " another cookie" : ""}`);
		}
		return answers.join(", ");
	};
	const older: Ask[] = [http1(), http2()];
	for (const ask of older) t.equal((await ask({}, "/x")).status, 200, "everything is open");
	const wanted = "200, 403, 403, 403, 403";
	/** Sends requests while routes and listener change. */
	const during = async (kept: readonly Ask[], change: Promise<void>): Promise<void> => {
		let going = true;
		void change.then(() => {
			going = false;
		});
		while (going) {
			for (const ask of [...kept, http1()]) {
				const [one, other] = [await ask(ann, "/x"), await ask(mallory, "/x")];
				if (one.status !== 200 || other.status !== 403) t.fail("neither rule's", { found: [one, other] });
			}
		}
		await change;
	};
	await publish(native);
	// Envoy closes them soon, because their listener, which does not normalise paths, is removed.
	for (const ask of older) t.equal(await answers(ask), wanted, "a connection from before anything was protected");
	const kept: Ask[] = [http1(), http2()];
	for (const [what, next, isHeard] of [
		["to the sidecar", asked, true],
		["back to Envoy", native, true],
		["people are assigned by a cookie", assigned, true],
		["back", native, true],
		["the sidecar has an older plan", assigned, false],
		["no one is assigned", native, true],
	] as const) {
		await during(kept, publish(next, isHeard));
		for (const [index, ask] of [...kept, http1(), http2()].entries()) {
			t.equal(await answers(ask), wanted, `${what}, connection ${index}`);
		}
		kept.push(http1(), http2());
	}
	await publish(plan({ rateLimits: { service: { requests: 3, perMs: 3_600_000 }, principal: null, tenant: null } }));
	const limited = [];
	for (const ask of [kept[0], kept[1], kept[0], kept[1], kept[0]]) limited.push((await ask?.(ann, "/x"))?.status);
	t.same(limited, [200, 200, 200, 429, 429], "limits hold on all connections");
});
