/** An inference uses up a signed decision, a full predictor does not: retries carry the same decision. */
import { EventEmitter, once } from "node:events";
import { connect } from "node:net";
import t, { type Test } from "tap";
import type { DecisionQuestion, GoodDecision } from "../../../src/serve/predictor/ports.js";
import { type PredictorOptions, startPredictor } from "../../../src/serve/predictor/server.js";
import { DecisionVerifier, decisionSigner } from "../../../src/trust/tokens/decision.js";
import { createDevelopmentCa } from "../../trust/identity/developmentCa.js";
import { call, employmentModel, goOn } from "./doubles.js";

const SIDECAR = "spiffe://weir.test/weir/sidecar";
const ca = await createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 3_600_000 });
const own = await ca.issue({ spiffeId: SIDECAR });
const sign = decisionSigner(() => own);
const decisionFor = (model: string): string =>
	sign({
		method: "POST",
		path: `/v2/models/${model}/infer`,
		host: "a.test",
		service: "employment",
		variant: "v1",
		principal: null,
	}) ?? "";

/** Models ok, die (its worker does) and hang (answers after a continue message). */
async function start(t: Test, more: Partial<PredictorOptions> = {}) {
	const verifier = new DecisionVerifier({ trustBundle: () => ca.certificate, admits: (id) => id === SIDECAR });
	const events = new EventEmitter();
	const check = ({ decisions, ...expected }: DecisionQuestion): GoodDecision | string => {
		const held = verifier.examine(decisions, expected);
		if ("refused" in held) return held.refused;
		const use = (): string | null => {
			const why = held.use();
			if (why === null) events.emit("used");
			return why;
		};
		return { ...held, use };
	};
	const predictor = await startPredictor({
		models: ["ok", "die", "hang"].map((name) => ({ name, path: employmentModel("plain") })),
		address: "127.0.0.1",
		port: 0,
		workers: 1,
		workerUrl: new URL("./dying.worker.js", import.meta.url),
		decision: { service: "employment", variant: "v1", check },
		meter: { count: (_name, _help, labels) => events.emit(`status ${labels?.status}`), gauge() {}, observe() {} },
		...more,
	});
	t.teardown(() => predictor.close());
	const { url } = predictor;
	const ask = async (model: string, decision: string | null): Promise<number> => {
		const inputs = model === "ok" ? [] : [{ name: model, datatype: "BOOL", shape: [1], data: [true] }];
		const headers = decision === null ? {} : { "x-weir-decision": decision };
		return (await call(url, { path: `/v2/models/${model}/infer`, body: { inputs }, headers })).status;
	};
	/** A request whose decision is used, and whose body does not end. */
	const half = async (decision: string) => {
		const socket = connect(Number(new URL(url).port), "127.0.0.1");
		t.teardown(() => socket.destroy());
		const used = once(events, "used");
		socket.write(
			`POST /v2/models/ok/infer HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 13\r\nx-weir-decision: ${decision}\r\n\r\n{`,
		);
		await used;
		return socket;
	};
	return { url, events, ask, half };
}

t.test("a full predictor leaves the decision to the retry; a request without one takes no place", async (t) => {
	const { url, events, ask } = await start(t, { admission: { requests: 1 } });
	t.equal(await ask("ok", null), 403);
	const [holder, decision] = [decisionFor("hang"), decisionFor("ok")];
	const used = once(events, "used");
	const held = ask("hang", holder);
	await used;
	await call(url, { path: "/v2/health/live" }); // a later connection: its body is whole
	t.equal(await ask("ok", decision), 503);
	t.equal(await ask("ok", decision), 503, "and left once more");
	t.equal(await ask("ok", null), 403, "without a decision");
	t.equal(await ask("ok", `${decision.slice(0, -8)}AAAAAAAA`), 403, "a forger");
	goOn();
	t.equal(await held, 200);
	t.equal(await ask("hang", holder), 403, "the decision of the running inference is used up");
	t.equal(await ask("ok", decision), 200);
	t.equal(await ask("ok", decision), 403, "and now it is, too");
});

t.test("a predictor that is full when the body is complete also leaves the decision to the retry", async (t) => {
	const { url, events, ask, half } = await start(t, { admission: { requests: 1 } });
	const [late, holder] = [decisionFor("ok"), decisionFor("hang")];
	const socket = await half(late);
	const used = once(events, "used");
	const held = ask("hang", holder);
	await used;
	await call(url, { path: "/v2/health/live" });
	const full = once(events, "status 503");
	socket.write('"inputs":[]}');
	await full;
	goOn();
	t.equal(await held, 200);
	t.equal(await ask("ok", late), 200);
});

t.test(
	"requests without a valid decision abort no bodies; an aborted one leaves its decision to the retry",
	async (t) => {
		const { events, ask, half } = await start(t, { bodies: { bodies: 1 } });
		const [first, second] = [decisionFor("ok"), decisionFor("ok")];
		const socket = await half(first);
		t.equal(await ask("ok", null), 403, "without a decision");
		t.equal(await ask("ok", `${second.slice(0, -8)}AAAAAAAA`), 403, "a forger");
		t.equal(await ask("ok", first), 403, "a second use");
		t.equal(socket.bytesRead, 0);
		const ended = once(events, "status 408");
		t.equal(await ask("ok", second), 200);
		await ended;
		t.equal(await ask("ok", first), 200);
	},
);

t.test("a body that does not end leaves its decision to the retry", async (t) => {
	const { events, ask, half } = await start(t, { bodies: { behindMs: 100 } });
	const decision = decisionFor("ok");
	const ended = once(events, "status 408");
	await half(decision);
	await ended;
	t.equal(await ask("ok", decision), 200);
});

t.test("one decision takes one place: a second use at the same time is refused", async (t) => {
	const { events, ask, half } = await start(t);
	const decision = decisionFor("ok");
	const socket = await half(decision);
	t.equal(await ask("ok", decision), 403);
	const gone = once(events, "status 499");
	socket.destroy();
	await gone;
	t.equal(await ask("ok", decision), 200, "a client that left before its request was whole has used nothing");
});

t.test("a missing worker leaves the decision unused; one that died has used it", async (t) => {
	const { ask } = await start(t);
	const [killer, decision] = [decisionFor("die"), decisionFor("die")];
	t.equal(await ask("die", killer), 500);
	const answers = [await ask("die", decision)];
	while (answers.at(-1) === 503) answers.push(await ask("die", decision));
	t.same([...new Set(answers)], [503, 500], "not 403: it was still unused when the new worker ran it");
	t.equal(await ask("die", killer), 403, "it may have been the cause, and is not tried again");
});

t.test("a request that was cancelled while the model ran is not repeated", async (t) => {
	const { url, events, ask } = await start(t);
	const decision = decisionFor("hang");
	const controller = new AbortController();
	const used = once(events, "used");
	const inputs = [{ name: "hang", datatype: "BOOL", shape: [1], data: [true] }];
	const first = call(url, {
		path: "/v2/models/hang/infer",
		body: { inputs },
		headers: { "x-weir-decision": decision },
		signal: controller.signal,
	});
	await used;
	controller.abort();
	await t.rejects(first, { name: "AbortError" });
	t.equal(await ask("hang", decision), 403);
});

t.test("a metadata request uses its decision up at once", async (t) => {
	const { url } = await start(t);
	const facts = { method: "GET", path: "/v2/models/ok", host: "a.test", service: "employment", variant: "v1" };
	const headers = { "x-weir-decision": sign({ ...facts, principal: null }) ?? "" };
	t.equal((await call(url, { path: "/v2/models/ok", headers })).status, 200);
	t.equal((await call(url, { path: "/v2/models/ok", headers })).status, 403);
});
