/** A request's id comes from Envoy: a client's own id is not stored, so no request is confused with another. */
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import t from "tap";
import type {
	AccessRecordsAnswer,
	ShownAccessRecord,
} from "../../../../../src/observe/events/query/accessRecordQuery.js";
import { decodeMessage } from "../../../../../src/observe/events/receive/accessLog/entryDecoder.js";
import { bootstrapOf, startEnvoy } from "../../../../envoy/harness.js";
import { inThisTier } from "../../../../envoy/tierVersions.js";
import { accessPolicy, resourceSet, service, variant } from "../../../../fixtures/resources.js";
import { startUpstream } from "../../../../fixtures/upstream.js";
import { type Entry, encode, JUDGED, startLiveRig, startRig } from "../../rig.js";

t.setTimeout(120_000);

const REFUSED: Entry = { kind: "end", requestId: "theirs", startMs: 900_000, routeName: "", status: 400 };
const idOf = (entry: Partial<Entry>): string => {
	let id = "";
	decodeMessage(encode([{ ...REFUSED, ...entry }]), ({ requestId }) => {
		id = requestId;
	});
	return id;
};

t.test("an id is accepted only from an entry with a route or a verdict", async (t) => {
	for (const codeDetails of ["path_normalization_failed", "overload", "a_word_of_a_later_envoy", "via_upstream", ""])
		t.equal(idOf({ codeDetails }), "", codeDetails);
	// What another filter may leave as an answer goes out.
	t.equal(idOf({ metadata: {}, namespace: "envoy.filters.http.ext_proc" }), "");
	t.equal(idOf(JUDGED), "theirs");
	t.equal(idOf({ routeName: "weir|p1|shop|-" }), "theirs");
	t.equal(idOf({ codeDetails: "direct_response", status: 503 }), "theirs", "a closed Service's route has no name");
});

t.test("a share of the requests without an id is recorded, not all or none", async (t) => {
	const rig = await startRig({ allowedRecordsPpm: 500_000 });
	t.teardown(() => rig.close());
	const entries = Array.from(
		{ length: 200 },
		(_, index): Entry => ({ ...REFUSED, startMs: 900_000 + index, codeDetails: "overload", status: 503 }),
	);
	await rig.send(entries);
	const { decisions } = (await rig.call("GET", "/v1/requests?limit=1000", "")).json as AccessRecordsAnswer;
	t.ok(decisions.length > 50 && decisions.length < 150, `${decisions.length} of 200`);
	t.ok(decisions.every(({ requestId, reason }) => requestId === null && reason === "overloaded"));
});

/** Segments of a JWT, as far as its form goes. */
const JWT = `eyJhbGciOiJFUzI1NiJ9.${"c3ViamVjdA".repeat(4)}.${"c2lnbmF0dXJl".repeat(7)}`;

for (const version of inThisTier(["1.40.0", "1.38.3", "1.36.2"]))
	t.test(`Envoy ${version}: a request refused before Envoy made an id has none`, { timeout: 60_000 }, async (t) => {
		const port = await startUpstream(t, (_, response) => void response.end("ok"));
		const { rig, planOf, collectors } = await startLiveRig(t, { allowedRecordsPpm: 1_000_000 });
		const plan = planOf(
			resourceSet({
				services: [
					service("guarded", [variant("v1", port)], { access: null }),
					service("shut", [variant("v1", port)], { access: null }),
				],
				accessPolicies: [
					accessPolicy("ok", "allow", ["guarded", "shut"], { principals: ["anyone"], pathPrefixes: ["/ok"] }),
				],
			}),
			{ closed: new Set(["shut"]) },
		);
		const envoy = await startEnvoy(t, bootstrapOf(plan, collectors), { version });
		const send = (id: string, line: string, ...headers: readonly string[]): Promise<string> =>
			new Promise((resolve) => {
				let answer = "";
				const socket = connect(envoy.port(), "127.0.0.1", () =>
					socket.write([line, `x-request-id: ${id}`, "Connection: close", ...headers, "", ""].join("\r\n")),
				);
				socket.on("data", (bytes) => {
					answer += bytes.toString("latin1");
					if (answer.includes("\r\n\r\n")) socket.destroy();
				});
				socket.on("error", () => undefined);
				socket.on("close", () => resolve(answer));
			});
		const host = "Host: guarded.test";
		const served = await send("mine", "GET /ok/served HTTP/1.1", host);
		const id = /x-request-id: (\S+)/i.exec(served)?.[1] ?? "";
		t.match(id, /^[0-9a-f-]{36}$/);
		const refused: readonly (readonly [status: number, line: string, ...headers: string[]])[] = [
			[400, "GET /ok%2Fb HTTP/1.1", host],
			[400, "GET /ok%00 HTTP/1.1", host],
			[400, "GET /ok#x HTTP/1.1", host],
			[400, "GET /ok HTTP/1.1"],
			[404, "OPTIONS * HTTP/1.1", host],
			[426, "GET /ok HTTP/1.0", host],
			[400, "GET /ok HTTP/1.1", host, "x_under: 1"],
			[431, "GET /ok HTTP/1.1", host, `x-large: ${"x".repeat(100_000)}`],
		];
		for (const [status, line, ...headers] of refused)
			for (const own of [id, JWT])
				t.equal(
					(await send(own, line, ...headers)).slice(9, 12),
					String(status),
					`${line} ${headers.join().slice(0, 40)}`,
				);
		// Its client does not read the answer either.
		for (const own of [id, JWT]) {
			const session = connectHttp2(`http://127.0.0.1:${envoy.port()}`, { settings: { initialWindowSize: 0 } });
			session.on("error", () => undefined);
			const headers = { ":path": "/ok%2Fb", ":authority": "guarded.test", "x-request-id": own };
			const stream = session.request(headers).on("error", () => undefined);
			await new Promise<void>((resolve) => stream.on("response", () => resolve()).on("close", () => resolve()));
			session.destroy();
		}
		const judged: readonly (readonly [status: number, path: string, host: string])[] = [
			[403, "/no", "guarded.test"],
			[403, "/ok/unknown", "unknown.test"],
			[503, "/ok/shut", "shut.test"],
		];
		for (const [status, path, name] of judged)
			t.equal((await send(JWT, `GET ${path} HTTP/1.1`, `Host: ${name}`)).slice(9, 12), String(status));
		const wanted = 1 + 2 * refused.length + 2 + judged.length;
		const records = async (query = ""): Promise<readonly ShownAccessRecord[]> =>
			((await rig.call("GET", `/v1/requests?limit=1000${query}`, "")).json as AccessRecordsAnswer).decisions;
		let all = await records();
		for (let tries = 0; all.length < wanted && tries < 60; tries++) {
			await new Promise((resolve) => setTimeout(resolve, 250));
			all = await records();
		}
		t.equal(all.length, wanted);
		t.notMatch(JSON.stringify(all), new RegExp(JWT.slice(0, 30)), "nothing of what a client wrote");
		t.match(await records(`&requestId=${id}`), [{ kind: "allowed", path: "/ok/served" }], "no record but its own");
		const account = await rig.call("GET", `/v1/requests/${id}`, "");
		t.match(account, { status: 200, json: { requestId: id, path: "/ok/served", status: 200 } }, "nor another account");
		t.equal((await rig.call("GET", `/v1/requests/${JWT}`, "")).status, 404);
		const ours = new Map(all.map(({ path, requestId }) => [path, requestId]));
		for (const [, path] of judged) {
			const own = ours.get(path);
			t.match(own, /^[0-9a-f-]{36}$/, `${path} has Envoy's`);
			t.match(await rig.call("GET", `/v1/requests/${own}`, ""), { status: 200, json: { path } });
		}
		t.equal(all.filter(({ requestId }) => requestId === null).length, 2 * refused.length + 2);
	});
