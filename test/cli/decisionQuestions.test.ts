/** Who asks the decision log, and how often: nobody's questions shut it for others, or are answered to nobody. */
import { channel } from "node:diagnostics_channel";
import { once } from "node:events";
import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import t from "tap";
import { decisionLogMounts } from "../../src/cli/roles/api.js";
import { forwardTo } from "../../src/cli/roles/forward.js";
import { CALLER_HEADER, callerWord } from "../../src/events/outcomes/sender.js";
import { QUESTIONS_WAITING_MAX } from "../../src/limits.js";
import { query, startRig } from "../events/rig.js";
import { file } from "../state/employment.js";
import { mutualApi, operator } from "../state/mutualApi.js";
import { binding } from "../state/operatorBinding.js";

t.setTimeout(120_000);

/** Of shadow counts: ingest asks for the newest plan first, which the test holds. */
const HELD = "/v1/requests?view=shadow";
const CROWD = Array.from({ length: QUESTIONS_WAITING_MAX }, (_, n) => `crowd${n}`);

interface Arrival {
	readonly of: string;
	readonly response: ServerResponse;
}

async function started(t: Parameters<typeof mutualApi>[0]) {
	let asked = 0;
	let open = (): void => undefined;
	const gate = new Promise<void>((resolve) => {
		open = resolve;
	});
	const rig = await startRig({
		newestPlan: async () => {
			asked++;
			await gate;
			return null;
		},
	});
	t.teardown(() => rig.close());
	t.teardown(() => open());
	const { owner, api, ca } = await mutualApi(t, { mounts: decisionLogMounts(forwardTo(rig.httpSocket, "ingest")) });
	const names = ["mia", "tom", ...CROWD];
	await owner.apply(file(names.map((name) => binding(name, "read", [name], "['*']")).join("---\n")), { dryRun: false });
	/** Questions as they come to ingest, which has the API's word for who asks. */
	const arrivals: Arrival[] = [];
	let arrived = (): void => undefined;
	const seen = (message: unknown): void => {
		const { request: told, response } = message as { request: IncomingMessage; response: ServerResponse };
		const of = told.headers[CALLER_HEADER];
		if (typeof of === "string") arrivals.push({ of, response });
		arrived();
	};
	const starts = channel("http.server.request.start");
	starts.subscribe(seen);
	t.teardown(() => starts.unsubscribe(seen));
	/** Resolves when so many questions of the subject have come. */
	const arrival = async (name: string, count = 1): Promise<ServerResponse> => {
		for (;;) {
			const found = arrivals.filter(({ of }) => of === callerWord(operator(name)))[count - 1];
			if (found !== undefined) return found.response;
			await new Promise<void>((resolve) => {
				arrived = resolve;
			});
		}
	};
	const client = async (name: string) => {
		const own = await ca.issue({ spiffeId: operator(name) });
		const shown = { ca: ca.certificate, cert: own.certificate, key: own.privateKey };
		return (path: string): ClientRequest =>
			request(new URL(path, api.url), { ...shown, checkServerIdentity: () => undefined, agent: false }).end();
	};
	return { rig, owner, client, arrival, open, asked: () => asked };
}

async function answer(sent: ClientRequest) {
	const [came] = (await once(sent, "response")) as [IncomingMessage];
	return { status: came.statusCode, retryAfter: came.headers["retry-after"], json: JSON.parse(await text(came)) };
}

t.test("a subject has one question at a time, whichever; the owner and evidence wait for none of them", async (t) => {
	const { rig, owner, client, arrival, open } = await started(t);
	const [mia, tom] = await Promise.all([client("mia"), client("tom")]);
	const first = answer(mia(HELD));
	await arrival("mia");
	for (const path of ["/v1/requests?limit=1", HELD, "/v1/requests/some-id"]) {
		t.match(
			await answer(mia(path)),
			{
				status: 429,
				retryAfter: "1",
				json: { error: { code: "resource-exhausted", hint: "ask one after the other" } },
			},
			path,
		);
	}
	t.match(await owner.raw("GET", "/v1/requests"), { status: 200 });
	t.match(await rig.call("POST", "/evidence", JSON.stringify(query())), { status: 200 });
	const other = answer(tom("/v1/requests?limit=1"));
	await arrival("tom");
	open();
	t.match(await first, { status: 200 });
	t.match(await other, { status: 200 }, "another subject's is answered in its turn");
	for (let page = 0; page < 20; page++)
		t.match(await answer(mia("/v1/requests")), { status: 200 }, "one after the other");
	t.match(await answer(mia("/v1/requests?limit=0")), { status: 400 });
	t.match(await answer(mia("/v1/requests")), { status: 200 }, "after one that is no question, too");
});

t.test("so many wait and no more; the owner all the same", async (t) => {
	const { owner, client, arrival, open } = await started(t);
	const [mia, tom, ...crowd] = await Promise.all(["mia", "tom", ...CROWD].map(client));
	const answers = [answer(mia?.(HELD) as ClientRequest)];
	await arrival("mia");
	for (const [n, one] of crowd.entries()) {
		answers.push(answer(one("/v1/requests")));
		await arrival(CROWD[n] ?? "");
	}
	t.match(await answer(tom?.("/v1/requests") as ClientRequest), {
		status: 503,
		retryAfter: "1",
		json: { error: { code: "unavailable" } },
	});
	t.match(await owner.raw("GET", "/v1/requests"), { status: 200 });
	open();
	for (const { status } of await Promise.all(answers)) t.equal(status, 200);
});

t.test("a question whose client has gone is not carried out, and takes nobody's place", async (t) => {
	const { client, arrival, open, asked } = await started(t);
	const [mia, tom] = await Promise.all([client("mia"), client("tom")]);
	const first = answer(mia(HELD));
	await arrival("mia");
	for (let round = 1; round <= QUESTIONS_WAITING_MAX + 1; round++) {
		const sent = tom(HELD).on("error", () => undefined);
		const response = await arrival("tom", round);
		t.notOk(response.headersSent, "it waits");
		const gone = once(response, "close");
		sent.destroy();
		await gone;
	}
	t.equal(asked(), 1);
	const last = answer(tom(HELD));
	await arrival("tom", QUESTIONS_WAITING_MAX + 2);
	open();
	t.match(await first, { status: 200 });
	t.match(await last, { status: 200 });
	t.equal(asked(), 2, "that of mia, and the one that tom stayed for");
});
