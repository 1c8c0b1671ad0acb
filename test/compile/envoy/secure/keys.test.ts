/** Keys that Envoy fetches: by TLS from the declared host, and without them no user is allowed (CVE-2026-31837). */
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../../src/decide/rollout/status.js";
import { bootstrapOf, startEnvoy, type TestScope } from "../../../envoy/harness.js";
import { alone, rawGet } from "../../../envoy/pipeline.js";
import { startVariantServer } from "../../../envoy/variantServer.js";
import { accessPolicy, gateway, resourceSet, service, tokenIssuer, variant } from "../../../fixtures/resources.js";
import { until } from "../../../trust/identity/mesh.js";
import { mutualTls, spiffe } from "../../access/mutualTls.js";
import { AUDIENCE, createMinter, ISSUER } from "./tokens.js";

/** A server of keys under a certificate for that name, and an Envoy that fetches from localhost. */
async function scene(t: TestScope, dnsName: string) {
	const directory = await mkdtemp(join(tmpdir(), "weir-keys-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const { ca } = await mutualTls(t);
	const caFile = join(directory, "ca.pem");
	await writeFile(caFile, ca.certificate);
	const own = await ca.issue({ spiffeId: spiffe("keys"), dnsNames: [dnsName] });
	const answers = { body: "", status: 500, asked: 0 };
	const server = createServer({ cert: own.certificate, key: own.privateKey }, (_, response) => {
		answers.asked++;
		response.statusCode = answers.status;
		response.end(answers.body);
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	const upstream = await startVariantServer("v1", (socket) =>
		socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
	);
	t.teardown(() => upstream.close());
	const url = `https://localhost:${(server.address() as AddressInfo).port}/jwks`;
	const issuer = { ...tokenIssuer(ISSUER, [AUDIENCE], ""), keys: { from: "url" as const, url, caFile } };
	const plan = compile(
		resourceSet({
			gateways: [gateway({ tokens: [issuer] })],
			services: [service("s", [variant("v1", upstream.port)], { access: null })],
			accessPolicies: [accessPolicy("p", "allow", ["s"], { users: [`${ISSUER}#ann`] })],
		}),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS },
	);
	const envoy = await startEnvoy(t, bootstrapOf(plan));
	const minter = createMinter(Date.now());
	const ask = async () => {
		const line = Buffer.from(`authorization: Bearer ${minter.token()}`);
		return (await alone(envoy.port(), rawGet("s.test", [line]))).status;
	};
	return { answers, ask, minter, envoy };
}

t.test("without usable keys no user is allowed", async (t) => {
	const { answers, ask } = await scene(t, "localhost");
	t.equal(await ask(), 401, "500");
	for (const body of ["", "garbage", "{}", '{"keys":[]}']) {
		Object.assign(answers, { status: 200, body });
		const { asked } = answers;
		await until(() => answers.asked > asked, "it is asked again");
		t.equal(await ask(), 401, `keys ${body}`);
	}
});

t.test("keys that arrive later allow users", async (t) => {
	const { answers, ask, minter } = await scene(t, "localhost");
	t.equal(await ask(), 401);
	Object.assign(answers, { status: 200, body: JSON.stringify(minter.jwks) });
	await until(async () => (await ask()) === 200, "the keys are fetched");
	Object.assign(answers, { status: 500, body: "" });
	t.equal(await ask(), 200, "what was fetched holds while it is fresh");
});

t.test("another host's certificate is refused", async (t) => {
	const { answers, ask, minter, envoy } = await scene(t, "other.test");
	Object.assign(answers, { status: 200, body: JSON.stringify(minter.jwks) });
	await until(
		async () => /ssl.fail_verify_san: [1-9]/.test(await envoy.admin("/stats?filter=fail_verify_san")),
		"refused",
	);
	t.equal(await ask(), 401);
	t.equal(answers.asked, 0);
});
