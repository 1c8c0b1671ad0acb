/** How many requests of the API's TCP door are under way: one of each connection, and so many of each subject. */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { connect } from "node:tls";
import t, { type Test } from "tap";
import { API_FORWARDED_NAMED_MAX, API_REQUESTS_AHEAD_MAX, API_REQUESTS_PER_SUBJECT_MAX } from "../../src/limits.js";
import type { Handle } from "../../src/state/api/mount.js";
import { NotPassedOn } from "../../src/state/api/underWay.js";
import { mutualApi, operator, READS_NOTHING } from "./mutualApi.js";

t.setTimeout(60_000);

/** An API with a path that answers when it is told to, and raw clients of it. */
async function scene(t: Test, { handle }: { readonly handle?: Handle } = {}) {
	const begun: { readonly url: string; readonly answer: () => void }[] = [];
	const bounds: string[] = [];
	let tell = (): void => {};
	const hold = ({ url = "" }: { readonly url?: string | undefined }, response: ServerResponse): void => {
		begun.push({ url, answer: () => void response.end(`${url}\n`) });
		tell();
	};
	const made = await mutualApi(t, {
		mounts: { "/v1/held": { handle: handle ?? hold, needs: "identity", methods: ["GET"] } },
		onTooMany: (bound) => void bounds.push(bound),
	});
	/** Resolves once as many have begun. */
	const begin = async (count: number): Promise<void> => {
		while (begun.length < count)
			await new Promise<void>((resolve) => {
				tell = resolve;
			});
	};
	const client = async (name: string) => {
		const own = await made.ca.issue({ spiffeId: operator(name) });
		return async () => {
			const socket = connect({
				...{ host: "127.0.0.1", port: Number(new URL(made.api.url).port), checkServerIdentity: () => undefined },
				...{ cert: own.certificate, key: own.privateKey, ca: made.ca.certificate },
			});
			t.teardown(() => socket.destroy());
			socket.on("error", () => {});
			let text = "";
			socket.setEncoding("utf8").on("data", (more: string) => {
				text += more;
			});
			await once(socket, "secureConnect");
			const closed = once(socket, "close");
			return { send: (...urls: readonly string[]) => socket.write(urls.map(get).join("")), text: () => text, closed };
		};
	};
	const asked = () => made.store.audit.page(0, 100, "refused").records.filter(({ verb }) => verb === "ask");
	return { ...made, begun, begin, bounds, client, asked };
}

const get = (url: string): string => `GET ${url} HTTP/1.1\r\nhost: x\r\n\r\n`;
const held = (count: number): readonly string[] => Array.from({ length: count }, (_, at) => `/v1/held/${at}`);

t.test("requests sent ahead on one connection are answered one by one, in order", async (t) => {
	const { begun, begin, client, owner } = await scene(t);
	const { send, text, closed } = await (await client("ada"))();
	send(...held(5), "/v1/held/last?");
	for (let count = 1; count <= 6; count++) {
		await begin(count);
		await owner.get();
		t.equal(begun.length, count, "the others wait");
		begun[count - 1]?.answer();
	}
	send("/nowhere");
	await closed;
	const urls = begun.map(({ url }) => url);
	t.same(urls, [...held(5), "/v1/held/last?"]);
	t.same(text().match(/\/v1\/held\/\S+$/gm), urls);
});

t.test(
	"more than may wait are not read: the connection ends with the last of those, and that is recorded",
	async (t) => {
		const { begun, begin, bounds, client, asked } = await scene(t);
		const { send, text, closed } = await (await client("eve"))();
		send(...held(100));
		for (let count = 1; count <= 1 + API_REQUESTS_AHEAD_MAX; count++) {
			await begin(count);
			begun[count - 1]?.answer();
		}
		await closed;
		t.equal(begun.length, 1 + API_REQUESTS_AHEAD_MAX);
		t.equal(text().match(/^HTTP\/1.1 200/gm)?.length, 1 + API_REQUESTS_AHEAD_MAX);
		t.equal(text().match(/^connection: close/gim)?.length, 1, "in order");
		t.same(bounds, ["ahead"]);
		t.match(asked(), [{ subject: operator("eve"), result: "refused", why: /sent ahead on one connection/ }]);
	},
);

t.test("what lies behind an answer that ends the connection is not handled", async (t) => {
	const { begun, client, store } = await scene(t);
	const { send, text, closed } = await (await client("eve"))();
	send("/v1/resources", "/v1/resources", ...held(3));
	await closed;
	t.equal(text().match(/^HTTP\/1.1 403/gm)?.length, 1);
	t.same(begun, []);
	t.equal(store.audit.page(0, 100, "refused").records.length, 1);
});

t.test("one subject's many connections leave others what they need, and what is too many is 429", async (t) => {
	const { begun, begin, bounds, client, asked, owner, as } = await scene(t);
	const eve = await client("eve");
	for (let index = 0; index < API_REQUESTS_PER_SUBJECT_MAX; index++) (await eve()).send("/v1/held/x");
	await begin(API_REQUESTS_PER_SUBJECT_MAX);
	for (let index = 0; index < 3; index++) {
		const { send, text, closed } = await eve();
		send("/v1/held/y");
		await closed;
		const full = new RegExp(
			`^HTTP/1.1 429 [\\s\\S]*retry-after: 1\\r\\n[\\s\\S]*has ${API_REQUESTS_PER_SUBJECT_MAX} requests under way`,
			"i",
		);
		t.match(text(), full);
	}
	t.same(bounds, ["subject", "subject", "subject"]);
	t.match(asked(), [{ subject: operator("eve"), why: /requests were under way/ }]);
	t.equal(asked().length, 1, "one of a minute stands for all");
	await t.rejects((await as("ada")).get(), READS_NOTHING, "another one is answered");
	await owner.get();
	begun[0]?.answer();
	const { send } = await eve();
	// That an answer has ended is known a moment after it was written.
	await owner.get();
	send("/v1/held/z");
	await begin(API_REQUESTS_PER_SUBJECT_MAX + 1);
	t.equal(begun.at(-1)?.url, "/v1/held/z");
});

t.test("who was not passed on in time is told to come again, and recorded with whom it waited for", async (t) => {
	const handle = async (): Promise<void> => {
		throw new NotPassedOn("ingest", new Map([["ada", 1], ...crowd]));
	};
	const crowd = Array.from({ length: API_FORWARDED_NAMED_MAX }, (_, at): [string, number] => [`eve${at}`, 2]);
	const { bounds, client, asked } = await scene(t, { handle });
	for (let index = 0; index < 2; index++) {
		const { send, text, closed } = await (await client("bob"))();
		send("/v1/held/x");
		await closed;
		t.match(text(), /^HTTP\/1.1 503 [\s\S]*retry-after: 1\r\n[\s\S]*ingest took no more in time/i);
		t.notMatch(text(), /eve/, "of others nothing is said");
	}
	t.same(bounds, ["forwarded", "forwarded"]);
	t.equal(asked().length, 1);
	const named = crowd.map(([subject]) => `2 of ${subject}`).join(", ");
	const why = `waited too long to be passed on, and was refused: ingest had ${named} and of 1 more`;
	t.match(asked(), [{ subject: operator("bob"), result: "refused", why }]);
});
