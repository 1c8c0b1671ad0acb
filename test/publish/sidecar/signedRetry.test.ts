/** Envoy retries a signed request at a predictor that was full, with the same decision, and it is served. */
import { EventEmitter, once } from "node:events";
import { connect } from "node:net";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { startPredictor } from "../../../src/serve/predictor/server.js";
import { DecisionVerifier, decisionSigner } from "../../../src/trust/tokens/decision.js";
import { mutualTls, spiffe } from "../../compile/access/mutualTls.js";
import { bootstrapOf, startEnvoy } from "../../envoy/harness.js";
import { alone, rawGet } from "../../envoy/pipeline.js";
import { PROTOCOLS } from "../../failure/stage.js";
import { accessPolicy, gateway, PATIENT, resourceSet, service, variant } from "../../fixtures/resources.js";
import { employmentModel, goOn } from "../../serve/predictor/doubles.js";
import { startSidecar } from "./rig.js";

t.setTimeout(120_000);

const PATH = "/v2/models/hang/infer?x=1";
const BODY = JSON.stringify({ inputs: [{ name: "hang", shape: [1], datatype: "BOOL", data: [true] }] });
const HEADERS = ["content-type: application/json", `content-length: ${BODY.length}`];
const headOf = (host: string, ...more: readonly string[]): Buffer =>
	rawGet(
		host,
		[...HEADERS, ...more].map((line) => Buffer.from(line)),
		PATH,
		"POST",
	);

const tls = await mutualTls(t);
const own = await tls.ca.issue({ spiffeId: spiffe("web") });
const sidecarId = await tls.ca.issue({ spiffeId: spiffe("weir/sidecar") });
const sign = decisionSigner(() => sidecarId);

for (const protocol of PROTOCOLS) {
	t.test(`a full predictor gets a retry with the same decision by ${protocol}`, async (t) => {
		const events = new EventEmitter();
		const shown = new Set<string>();
		const counts = new Map<string, number>();
		const verifier = new DecisionVerifier({
			trustBundle: () => tls.ca.certificate,
			admits: (id) => id === spiffe("weir/sidecar"),
		});
		const predictor = await startPredictor({
			models: ["ok", "die", "hang"].map((name) => ({ name, path: employmentModel("plain") })),
			address: "127.0.0.1",
			port: 0,
			workers: 1,
			workerUrl: new URL("../../serve/predictor/dying.worker.js", import.meta.url),
			admission: { requests: 1 },
			decision: {
				service: "signed",
				variant: "v1",
				check: ({ decisions, ...expected }) => {
					shown.add(decisions.join());
					events.emit("asked");
					const held = verifier.examine(decisions, expected);
					return "refused" in held ? held.refused : held;
				},
			},
			meter: {
				count: (name, _help, labels) => {
					const key = `${name} ${labels?.status ?? ""}`;
					counts.set(key, (counts.get(key) ?? 0) + 1);
					events.emit(key);
				},
				gauge() {},
				observe() {},
			},
		});
		t.teardown(() => predictor.close());
		const port = Number(new URL(predictor.url).port);
		const retries = { attempts: 10, on: ["5xx"], perTryTimeoutMs: 0 };
		const callout = { ...PATIENT, access: "sidecar", sign: true } as const;
		const resources = resourceSet({
			gateways: [gateway({ tls: tls.gateway })],
			services: [service("signed", [variant("v1", port)], { access: null, callout, retries })],
			accessPolicies: [accessPolicy("web", "allow", ["signed"], { principals: [spiffe("web")] })],
		});
		const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, protocol });
		const sidecar = await startSidecar(t, plan, { nowMs: Date.now, sign });
		const envoy = await startEnvoy(t, bootstrapOf(plan, NO_COLLECTORS, sidecar.socketPath));

		// This client takes the only place: the model does not answer yet.
		const facts = { method: "POST", path: PATH, host: "signed.test", service: "signed", variant: "v1" };
		const holder = connect(port, "127.0.0.1");
		t.teardown(() => holder.destroy());
		const held = once(events, "asked");
		const head = headOf("signed.test", `x-weir-decision: ${sign({ ...facts, principal: null })}`);
		holder.write(Buffer.concat([head, Buffer.from(BODY)]));
		await held;
		shown.clear();

		const full = once(events, "weir_predictor_requests_total 503");
		const answer = alone(tls.clientWith(envoy.port(), own), Buffer.concat([headOf("signed.test"), Buffer.from(BODY)]));
		await full;
		goOn();
		t.match(await answer, { status: 200, body: /"model_name":"hang"/ });
		t.equal(shown.size, 1, "every try shows the same decision");
		t.equal(counts.get("weir_predictor_requests_total 200"), 2);
		t.equal(counts.get("weir_predictor_decisions_refused_total "), undefined);
	});
}
