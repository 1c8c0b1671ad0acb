/** The limits on each client of the API: requests in a window of time, and requests at once. */
import { request } from "node:https";
import t, { type Test } from "tap";
import type { ClientLimits } from "../../../src/trust/clients/clientLimiter.js";
import { ALL, file } from "../../operate/employment.js";
import { mutualApi, operator } from "../../operate/mutualApi.js";
import { binding } from "../../operate/operatorBinding.js";

const TOO_MANY = { code: "resource-exhausted" };

async function scene(t: Test, clientLimits: Partial<ClientLimits>) {
	const exceeded: string[] = [];
	const waiting: (() => void)[] = [];
	let arrived = (): void => undefined;
	const made = await mutualApi(t, {
		clientLimits,
		onLimited: (one) => void exceeded.push(one),
		mounts: {
			"/v1/slow": {
				needs: "identity",
				methods: ["GET"],
				handle: (_, response) => {
					waiting.push(() => void response.end());
					arrived();
				},
			},
		},
	});
	const people = ["ada", "bob"];
	await made.owner.apply(
		file([ALL, ...["abort", "read"].map((verb) => binding(verb, verb, people, "['*']"))].join("---\n")),
		{ dryRun: false },
	);
	return {
		...made,
		exceeded,
		waiting,
		/** Resolves once so many slow requests are in progress. */
		inProgress: async (count: number) => {
			while (waiting.length < count)
				await new Promise<void>((resolve) => {
					arrived = resolve;
				});
		},
		get: async (name: string, path: string) => {
			const own = await made.ca.issue({ spiffeId: operator(name) });
			const shown = { cert: own.certificate, key: own.privateKey, ca: made.ca.certificate };
			return new Promise<{ status: number | undefined; retryAfter: string | undefined }>((resolve, reject) => {
				request(new URL(path, made.api.url), { ...shown, agent: false, checkServerIdentity: () => undefined })
					.on("error", reject)
					.on("response", (response) => {
						response.resume();
						resolve({ status: response.statusCode, retryAfter: response.headers["retry-after"] });
					})
					.end();
			});
		},
	};
}

t.test(
	"a client over its rate gets 429 with Retry-After, may stop an Experiment, and keeps no one waiting",
	async (t) => {
		const { as, get, exceeded, store } = await scene(t, { requests: 5, windowSeconds: 60 });
		for (let count = 0; count < 5; count++) t.match(await get("ada", "/v1/status"), { status: 200 });
		const { status, retryAfter } = await get("ada", "/v1/status");
		t.equal(status, 429);
		t.ok(Number(retryAfter) > 0 && Number(retryAfter) <= 60, `after ${retryAfter} s`);
		const ada = await as("ada");
		await t.rejects(ada.status(), TOO_MANY);
		t.match(await get("bob", "/v1/status"), { status: 200 }, "another client is served");
		t.match(await ada.act("boosted", "abort"), { decision: { outcome: { action: "abort" } } });
		t.same(exceeded, ["rate", "rate"]);
		t.match(store.audit.page(0, 10, "refused").records, [
			{ subject: operator("ada"), verb: "ask", result: "refused", why: /sends requests too fast/ },
		]);
	},
);

t.test("a client has a bounded number of requests in progress; an ended one frees its place", async (t) => {
	const { get, exceeded, inProgress, waiting } = await scene(t, { atOnce: 2 });
	const asked = [get("ada", "/v1/slow"), get("ada", "/v1/slow")];
	await inProgress(2);
	t.match(await get("ada", "/v1/status"), { status: 429, retryAfter: "1" });
	t.match(await get("bob", "/v1/status"), { status: 200 });
	t.same(exceeded, ["concurrency"]);
	waiting[0]?.();
	await Promise.race(asked);
	const next = get("ada", "/v1/slow");
	await inProgress(3);
	for (const answer of waiting) answer();
	t.match(await Promise.all([...asked, next]), [{ status: 200 }, { status: 200 }, { status: 200 }]);
});
