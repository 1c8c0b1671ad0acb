/** A sidecar that answers wrongly, in every way we could think of: nothing but a plain "allow" lets a request pass. */
import t from "tap";
import type { CalloutProtocol } from "../../src/compile/plan/compiledPlan.js";
import { inThisTier } from "../envoy/tierVersions.js";
import { BROKEN, type FailureCase, FORBIDDEN, KILLED, LATE, SPURIOUS, UNANSWERED } from "./cases.js";
import { Matrix } from "./matrix.js";
import { PROTOCOLS, SERVICES, startStage, variantOf } from "./stage.js";
import { ODD_DENIALS, SURPLUS, WRONG_ANSWERS, yes } from "./wrongAnswers.js";
import { answerBytes, startWrongServer } from "./wrongServer.js";

t.setTimeout(120_000);

/** The case of the table for each wrong answer; BROKEN by default. */
const CASE: Readonly<Record<CalloutProtocol, Readonly<Record<string, FailureCase>>>> = {
	ext_authz: {
		"empty message": UNANSWERED,
		"the other protocol's message": SPURIOUS,
		"OK without metadata": UNANSWERED,
		"a header beyond the list": FORBIDDEN,
		"a client certificate header": FORBIDDEN,
		"control characters in a header": FORBIDDEN,
		"connection cut": KILLED,
	},
	ext_proc: {
		"empty message": SPURIOUS,
		"cut off message": UNANSWERED,
		"clean close without an answer": UNANSWERED,
		"clean close after headers": UNANSWERED,
		"the other protocol's message": SPURIOUS,
		"yes without metadata": UNANSWERED,
		"metadata under another name": UNANSWERED,
		"an answer to response headers": SPURIOUS,
		"an answer to a request body": SPURIOUS,
		"a header beyond the list": FORBIDDEN,
		"a client certificate header": FORBIDDEN,
		"a path": FORBIDDEN,
		"control characters in a header": FORBIDDEN,
		"connection cut": KILLED,
	},
};

const VERSIONS = inThisTier(["1.36.2", "1.38.3", "1.40.0"]);

for (const version of VERSIONS) {
	for (const protocol of PROTOCOLS) {
		t.test(`${protocol} on Envoy ${version}`, async (t) => {
			const stage = await startStage(t, protocol, { version, timeoutMs: 300 });
			const server = await startWrongServer(stage.socketPath);
			t.teardown(() => server.close());
			const matrix = new Matrix(stage, protocol);
			for (const [name, behaviour] of Object.entries(WRONG_ANSWERS[protocol])) {
				server.behave(behaviour);
				await matrix.fails(t, CASE[protocol][name] ?? BROKEN, name);
			}

			server.behave((call) => {
				const late = setTimeout(() => answerBytes(call, yes[protocol](), { "grpc-status": "0" }), 600);
				call.stream.once("close", () => clearTimeout(late));
			});
			await matrix.fails(t, LATE, "a yes that comes too late");

			for (const [name, behaviour] of Object.entries(ODD_DENIALS[protocol])) {
				server.behave(behaviour);
				for (const service of SERVICES) {
					const seen = stage.seen(service);
					await stage.ask(service);
					t.equal(stage.seen(service), seen, `${name}: the upstream of ${service} has seen nothing`);
				}
			}
			if (protocol === "ext_proc" && version === "1.40.0") {
				for (const [name, behaviour] of Object.entries(SURPLUS)) {
					server.behave(behaviour);
					t.equal((await stage.ask("guarded")).status, 200, `${name}: the first answer counts`);
				}
			}

			server.behave((call) => answerBytes(call, yes[protocol](["x-weir-variant", "v2"]), { "grpc-status": "0" }));
			for (const name of SERVICES) {
				const answer = await stage.ask(name);
				t.equal(answer.status, 200, `a plain yes passes: ${name}`);
				t.equal(variantOf(answer), name === "guarded" ? "v1" : "v2");
			}
			await matrix.logged(t);
		});
	}
}
