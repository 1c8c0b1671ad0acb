/** Gates may take minutes: an operation is judged and dated after their answer, and cancelled if the caller has disconnected. */
import type { IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { Readable } from "node:stream";
import { connect as connectTls } from "node:tls";
import t from "tap";
import type { WebhookAnswer } from "../../../src/decide/rollout/ports.js";
import { type ApiServices, publicRoutes } from "../../../src/operate/api/publicRoutes.js";
import { Approvals } from "../../../src/operate/approvals/approvals.js";
import { Operations } from "../../../src/operate/operations/operations.js";
import { PromotionGates } from "../../../src/operate/operations/promotionGates.js";
import { Permissions } from "../../../src/operate/state/rights/permissions.js";
import { Rights } from "../../../src/operate/state/rights/rights.js";
import { until } from "../../trust/identity/mesh.js";
import { file, outcome } from "../employment.js";
import { operator } from "../mutualApi.js";
import { binding } from "../operatorBinding.js";
import { TWO } from "../operatorScene.js";
import { gatedScene } from "./gatedScene.js";

const now = { dryRun: false };
t.setTimeout(120_000);

const START_MS = Date.UTC(2026, 0, 1);
const MINUTE = TWO.replace("namespaces: [default]", "namespaces: [default], expire: 1m");

/** The scene by a clock that gates let go on: `after` answers after so long, in which something may happen. */
async function slowScene(t: Parameters<typeof gatedScene>[0]) {
	let nowMs = START_MS;
	const made = await gatedScene(t, { now: () => nowMs });
	const after =
		(ms: number, meanwhile: () => unknown = () => {}, answer: WebhookAnswer = { ok: true }) =>
		async () => {
			nowMs += ms;
			await meanwhile();
			return answer;
		};
	const pending = async (): Promise<string> => {
		const answer = await (await made.as("ada")).act("boosted", "promote");
		if (answer.outcome !== "pending") throw new Error("not pending");
		return answer.request.id;
	};
	const last = (chain: "operations" | "refused" = "operations") =>
		made.store.audit.page(0, 1_000, chain).records.at(-1);
	const phase = () => made.store.current.status.experiments.boosted?.phase;
	return { ...made, after, pending, last, phase };
}

t.test("a request that expires before its gates have answered is void", async (t) => {
	const { answers, after, owner, as, pending, last, phase } = await slowScene(t);
	await owner.apply(file(MINUTE), now);
	const bob = await as("bob");
	const late = await pending();
	answers.push(after(59_999), after(1));
	await t.rejects(bob.approve(late), { code: "failed-precondition", message: /is over: void, it has expired/ });
	t.match(await bob.request(late), { state: "void", approvals: [] });
	t.equal(phase(), "Running");

	const inTime = await pending();
	answers.push(after(59_999));
	const approvedAtMs = START_MS + 60_000 + 59_999;
	t.match(await bob.approve(inTime), { state: "done", endedAtMs: approvedAtMs, approvals: [{ atMs: approvedAtMs }] });
	t.match(last(), { verb: "promote", result: "done", atMs: approvedAtMs });
	t.equal(phase(), "Promoting");
});

t.test(
	"an approval does not count if the approver lost its right, or the request is over or needs more approvals",
	async (t) => {
		const { answers, after, owner, as, pending, phase } = await slowScene(t);
		await owner.apply(file(TWO), now);
		const [ada, bob] = [await as("ada"), await as("bob")];
		const meanwhile = async (id: string, happens: () => Promise<unknown>) => {
			answers.push(after(1, happens));
			return bob.approve(id);
		};
		const first = await pending();
		const withdrawn = meanwhile(first, () => ada.reject(first));
		await t.rejects(withdrawn, { code: "failed-precondition", message: /is over: rejected/ });

		const second = await pending();
		const bobs = (verb: string) => file(binding("bob", verb, ["bob"], "[default]"));
		const revoked = meanwhile(second, () => owner.apply(bobs("read"), now));
		await t.rejects(revoked, { code: "permission-denied", message: /bob needs the verb approve in namespace default/ });
		t.match(await ada.request(second), { state: "pending", approvals: [] });
		await owner.apply(bobs("approve"), now);

		const more = TWO.replace("namespaces: [default]", "namespaces: [default], approvals: 2");
		t.match(await meanwhile(second, () => owner.apply(file(more), now)), { state: "pending" }, "two by now");
		t.equal(phase(), "Running");
	},
);

t.test("a caller that lost its right then does not promote, and a new approval policy applies", async (t) => {
	const { answers, after, owner, as, phase } = await slowScene(t);
	const ada = await as("ada");
	const adas = (verb: string) => file(binding("ada", verb, ["ada"], "[default]"));
	answers.push(after(1, () => owner.apply(adas("read"), now)));
	await t.rejects(ada.act("boosted", "promote"), {
		code: "permission-denied",
		message: /ada needs the verb promote in namespace/,
	});
	await owner.apply(adas("promote"), now);
	answers.push(after(1, () => owner.apply(file(TWO), now)));
	t.match(await ada.act("boosted", "promote"), { outcome: "pending" });
	t.equal(phase(), "Running");
});

t.test("the last of two simultaneous approvals asks the gates", async (t) => {
	const { store, owner, pending, phase } = await slowScene(t);
	const people = ["carol", "dora"].map((name) => binding(name, "approve", [name], "[default]"));
	const more = TWO.replace("namespaces: [default]", "namespaces: [default], approvals: 2");
	await owner.apply(file([...people, more].join("---\n")), now);
	const id = await pending();
	let asked = 0;
	const webhook = async () => {
		asked += 1;
		return { ok: false, why: "no" };
	};
	const operations = new Operations(store, new Rights(store, new Permissions()));
	const clock = () => START_MS;
	const gates = new PromotionGates(store, operations, webhook, clock);
	const api = {
		store,
		operations,
		approvals: new Approvals(store, operations),
		gates,
		now: clock,
	} as unknown as ApiServices;
	// Both bodies end in one turn of the loop, so that what follows goes on step by step with the other's.
	const approves = (name: string) => {
		const body = Readable.from([Buffer.from("{}")]);
		const approve = publicRoutes(api).find(({ url }) => url === "/v1/approvals/:id/approve");
		const headers = { "content-type": "application/json" };
		const request = Object.assign(body, { method: "POST", headers, socket: {} }) as unknown as IncomingMessage;
		const caller = { subject: operator(name), groups: [], how: "mtls" } as const;
		return approve?.run({ request, params: { id }, query: {}, caller, id: name });
	};
	const [carol, dora] = await Promise.allSettled([approves("carol"), approves("dora")]);
	t.match(carol, { status: "fulfilled", value: { json: { state: "pending", approvals: [{}] } } });
	t.match(dora, { status: "rejected", reason: { message: /did not let it happen: no/ } });
	t.equal(asked, 1);
	t.equal(phase(), "Running");
});

t.test("a promotion has the time at which it happens, and so has a gate's no", async (t) => {
	const { answers, after, as, store, last } = await slowScene(t);
	const ada = await as("ada");
	answers.push(
		after(40_000),
		after(30_000, () => {}, { ok: false, why: "no" }),
	);
	await t.rejects(ada.act("boosted", "promote"), { code: "failed-precondition" });
	t.match(last("refused"), { verb: "promote", atMs: START_MS + 70_000 });

	const status = store.current.status.experiments.boosted;
	if (status === undefined) throw new RangeError("no status");
	const heldAtMs = START_MS + 70_000 + 40_000;
	const holds = () =>
		store.decide({
			...{ experiment: "boosted", expectedRevision: store.current.revision, by: "weir", atMs: heldAtMs, input: null },
			outcome: outcome(status),
		});
	answers.push(after(40_000, holds), after(50_000));
	const promotedAtMs = heldAtMs + 50_000;
	t.match(await ada.act("boosted", "promote"), { decision: { atMs: promotedAtMs } });
	const { decisions } = store.decisions("boosted", 0, 10);
	t.match(decisions.slice(-2), [{ atMs: heldAtMs }, { atMs: promotedAtMs, outcome: { action: "promote" } }]);
	t.match(store.current.status.experiments.boosted, { takeover: { fromMs: promotedAtMs } });
	t.match(last(), { verb: "promote", result: "done", atMs: promotedAtMs });
	t.match(
		store.moves("boosted", heldAtMs)[0],
		{ outcome: { action: "start" } },
		"of a request of before it is another",
	);
});

/** POSTs on one connection, whose end is gone before any is answered. */
async function leaving(socket: Socket, paths: readonly string[], areAsked: () => boolean): Promise<void> {
	socket.on("error", () => {});
	for (const path of paths)
		socket.write(
			`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`,
		);
	await until(areAsked, "a gate is asked by each");
	socket.destroy();
	// The API notices the disconnect later.
	await new Promise((resolve) => setTimeout(resolve, 100));
}

t.test("a caller that disconnects before the gates answer has not promoted or approved", async (t) => {
	const { api, ca, asked, answers, owner, as, store, pending, last, phase } = await slowScene(t);
	const refusals = () => store.audit.page(0, 1_000, "refused").records.length;
	const { certificate: cert, privateKey: key } = await ca.issue({ spiffeId: operator("ada") });
	const shown = { ca: ca.certificate, cert, key, checkServerIdentity: () => undefined };
	const ada = () => connectTls({ ...shown, port: Number(new URL(api.url).port), host: "127.0.0.1" });
	const local = () => connect(api.socket);
	const go = async (by: typeof ada | typeof local, ...paths: readonly string[]) => {
		const [askedBefore, refusedBefore] = [asked.length, refusals()];
		let answer = (_: WebhookAnswer): void => {};
		const yes = new Promise<WebhookAnswer>((resolve) => {
			answer = resolve;
		});
		answers.push(...paths.map(() => () => yes));
		await leaving(by(), paths, () => asked.length === askedBefore + paths.length);
		answer({ ok: true });
		await until(() => refusals() === refusedBefore + paths.length || phase() !== "Running", "an end");
		t.equal(phase(), "Running");
		t.equal(asked.length, askedBefore + paths.length, "one of three each");
		t.match(last("refused"), {
			verb: "promote",
			subject: by === ada ? operator("ada") : "local:owner",
			objects: ["Experiment boosted"],
			result: "refused",
			why: "who asked had gone before its gates had answered",
		});
	};
	const promote = "/v1/experiments/boosted/promote";
	await go(local, promote);
	await go(ada, promote);
	await go(local, promote, promote);
	await owner.apply(file(TWO), now);
	const id = await pending();
	await go(local, `/v1/approvals/${id}/approve`);
	const bob = await as("bob");
	t.match(await bob.request(id), { state: "pending", approvals: [] });
	t.match(await bob.approve(id), { state: "done" });
	t.equal(phase(), "Promoting");
});
