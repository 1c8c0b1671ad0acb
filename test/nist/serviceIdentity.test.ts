/**
 * NIST SP 800-207A, point 2: service identity and authentication. Callers, Envoy, model servers, senders of outcomes and
 * operators each prove a short-lived SPIFFE id, which is renewed under traffic.
 */
import t from "tap";
import { askApi, weir } from "../cli/command.js";
import { APP, CONTROL, ENVOY, PREDICTOR, startScene } from "./scene.js";

t.setTimeout(180_000);

t.test("every listener refuses unauthenticated clients", async (t) => {
	const scene = await startScene(t, {
		documents: () => `apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: app-may}
spec: {action: allow, services: [model], principals: ["${APP}"]}
---
apiVersion: weir.dev/v1alpha1
kind: Metric
metadata: {name: accuracy}
spec: {type: rate, source: outcome, senders: ["${APP}"]}
---`,
	});
	await t.test("the caller proves itself to Envoy, and Envoy to the caller", async (t) => {
		t.equal((await scene.ask({ as: "app" })).status, 200);
		await t.rejects(scene.ask({ as: null }), "no certificate, no request");
		await t.rejects(scene.ask({ as: "app", server: PREDICTOR }), /weir-gateway/, "the caller knows its server");
	});

	await t.test("the model server accepts the mesh's Envoy only", async (t) => {
		const direct = { port: scene.modelPort, server: PREDICTOR };
		for (const as of ["app", "unauthorised", "operator", null] as const) {
			await t.rejects(scene.ask({ as, ...direct }), `${as} past the mesh`);
			await t.rejects(scene.ask({ as, ...direct, method: "GET", path: "/v2/health/ready" }), `${as}, health`);
		}
		t.equal((await scene.ask({ as: "app" })).status, 200, "through the mesh as before");
	});

	await t.test("an outcome's sender is a principal with a grant for the metric", async (t) => {
		const post = (as: "app" | "unauthorised" | null, more: Readonly<Record<string, string>> = {}) =>
			scene.ask({
				as,
				port: scene.apiPort,
				server: CONTROL,
				path: "/v1/outcomes",
				body: JSON.stringify([{ metric: "accuracy", unit: "u1", value: 1 }]),
				headers: { host: "127.0.0.1", ...more },
			});
		const granted = await post("app");
		t.same([granted.status, JSON.parse(granted.text).accepted], [200, 1], granted.text);
		const forged = await post("unauthorised");
		t.not(JSON.parse(forged.text).accepted, 1, `forged outcomes are not taken: ${forged.status} ${forged.text}`);
		await t.rejects(post(null), "without a certificate");
		for (const [passedOn, names] of [
			[{ "x-request-id": "abc" }, "x-request-id"],
			[{ "x-forwarded-proto": "https" }, "x-forwarded-proto"],
			[{ "x-forwarded-proto": "https", "x-request-id": "abc" }, "x-request-id and x-forwarded-proto"],
		] as const) {
			const { status, text } = await post("app", passedOn);
			t.match(
				[status, JSON.parse(text).error],
				[403, { message: `the request has ${names}, as one that a proxy passes on`, hint: `send it without ${names}` }],
			);
		}
	});

	await t.test("the API gives access to its operator only", async (t) => {
		const call = (
			as: "operator" | "app" | "unauthorised",
			method: "GET" | "DELETE",
			headers: Record<string, string> = {},
		) =>
			scene.ask({
				as,
				port: scene.apiPort,
				server: CONTROL,
				method,
				path: method === "GET" ? "/v1/resources" : "/v1/resources/Service/model?dryRun=true",
				headers: { host: "127.0.0.1", ...headers },
			});
		const seen = await call("operator", "GET");
		t.equal(JSON.parse(seen.text).resources.length, 4, seen.text);
		for (const as of ["app", "unauthorised"] as const) {
			for (const headers of [{}, { "x-weir-caller": "spiffe://weir.local/weir/operator/root" }] as const) {
				t.match(
					await call(as, "GET", headers),
					{ status: 403, text: /read in at least one namespace/ },
					`${as} sees nothing`,
				);
				t.ok((await call(as, "DELETE", headers)).status >= 403, `${as} changes nothing`);
			}
		}
	});

	await t.test("the command line is an operator by mTLS", async (t) => {
		const socketOf = (name: string) => `${scene.directory}/data/run/identity/${name}.sock`;
		const get = (name: string) => weir(["get", "--api", scene.up.ready.https, "--identity", socketOf(name)]);
		t.match((await get("operator")).stdout.toString(), /kind: Gateway/);
		const unauthorised = await get("unauthorised");
		t.match([unauthorised.code, unauthorised.stdout.toString()], [1, ""]);
	});

	await t.test("the bypass probe has reached Envoy and was denied", async (t) => {
		const probed = await weir(["probe", "--api", scene.up.ready.api]);
		t.match([probed.code, probed.stdout.toString()], [0, /^denied /]);
		t.match((await askApi(scene.up.ready.api, "/metrics")).text, /^weir_bypass_probe_failures\{[^}]*\} 0$/m);
		const { stdout } = await weir(["status", "--api", scene.up.ready.api]);
		t.notMatch(stdout.toString(), /ALARM/);
	});

	t.ok(scene.identities.app.current().notAfterMs - Date.now() < 2 * 3_600_000, "identities are short-lived");
	t.equal(scene.identities.app.current().spiffeId, APP);
	t.not(ENVOY, APP);
});
