/**
 * The public API forwards requests to ingest. Raw connections, as an attacker writes them: no framing makes one request read as
 * another, and ingest gets the sender's identity.
 */

import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer, connect as plainConnect, type Socket } from "node:net";
import { join } from "node:path";
import { connect } from "node:tls";
import t, { type Test } from "tap";
import { startControlRole } from "../../../src/cli/roles/control.js";
import { forwardTo } from "../../../src/cli/roles/forward.js";
import { startIngestRole } from "../../../src/cli/roles/ingest.js";
import { readMetrics } from "../../../src/cli/roles/metrics.js";
import { operatorTokens } from "../../../src/cli/roles/operatorTokens.js";
import { places } from "../../../src/cli/stack/places.js";
import type { AccessRecordsAnswer } from "../../../src/observe/events/query/accessRecordQuery.js";
import { OUTCOMES_BODY_BYTES_MAX } from "../../../src/observe/events/receive/outcomes/outcomes.js";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import { sendError } from "../../../src/operate/api/http.js";
import type { Caller } from "../../../src/operate/callers/caller.js";
import { controlTls, newCa, operator, uriOf } from "../../operate/mutualApi.js";
import { keyPair, publicJwk, signed } from "../../trust/tokens/issuer.js";
import { fileOf, temporaryDirectory } from "../command.js";
import { roleContext } from "./roleContext.js";

t.setTimeout(60_000);

const APP = operator("app");
const ISSUER = "https://id.example";
const NAME = "Zoë 李";
/** The orders Metric takes outcomes of the owner only. */
const DECLARED = `apiVersion: weir.dev/v1alpha1
kind: Metric
metadata: {name: clicks}
spec: {type: mean, source: outcome, direction: up, window: 1s, senders: ["${APP}"]}
---
apiVersion: weir.dev/v1alpha1
kind: Metric
metadata: {name: orders}
spec: {type: mean, source: outcome, direction: up, window: 1s}
---
apiVersion: weir.dev/v1alpha1
kind: RoleBinding
metadata: {name: readers}
spec: {verbs: [read], subjects: ["${ISSUER}#${NAME}", "${operator("reader")}"], namespaces: ["*"]}
`;

const rows = (metric: string): string => JSON.stringify([{ metric, unit: "user-1", value: 1 }]);
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
const lines = (...all: readonly string[]): string => all.join("\r\n");
const JSON_TYPE = "content-type: application/json";

/** A request that would act for the owner, if it were read as one. */
const FORGED = lines(
	"POST /v1/outcomes HTTP/1.1",
	"host: x",
	JSON_TYPE,
	`content-length: ${rows("orders").length}`,
	"",
	rows("orders"),
);
const LENGTH = `content-length: ${FORGED.length}`;
const CHUNKED = "transfer-encoding: chunked";
const IN_CHUNKS = `${chunk(FORGED)}0\r\n\r\n`;

interface Raw {
	readonly status: number;
	readonly head: string;
	/** The first answer, and what comes after it. */
	readonly rest: string;
}

/** All that arrives until the other side closes. */
async function answered(socket: Socket, text: string): Promise<Raw> {
	let all = "";
	const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
	socket.on("error", () => undefined);
	socket.setEncoding("latin1").on("data", (part: string) => {
		all += part;
	});
	socket.write(text);
	await closed;
	const [, status = "0", head = "", rest = ""] = /^HTTP\/1\.1 (\d+)([\s\S]*?)\r\n\r\n([\s\S]*)$/.exec(all) ?? [];
	return { status: Number(status), head, rest };
}

async function startStack(t: Test) {
	const directory = await temporaryDirectory(t);
	const at = places(join(directory, "data"));
	const ca = await newCa();
	const pair = await keyPair();
	const jwk = await publicJwk(pair, { kid: "k1", alg: "ES256", use: "sig" });
	const keys = await fileOf(directory, "jwks.json", JSON.stringify({ keys: [jwk] }));
	const tokens = operatorTokens(
		{ issuer: ISSUER, audience: "weir-api", keys, groupsClaim: "groups" },
		{ info: () => undefined, warn: () => undefined },
	);
	const logged: string[] = [];
	const tls = await controlTls(ca);
	const apiListener = { address: "127.0.0.1", port: 0, tls, peer: uriOf, tokens };
	const api = await startControlRole({ ...roleContext(at, "control", logged), apiListener });
	t.teardown(() => api.close());
	const owner = new ApiClient(`unix:${at.apiSocket}`);
	t.match(await owner.apply([{ name: "a.yaml", text: DECLARED }], { dryRun: false }), { outcome: "applied" });
	const ingest = await startIngestRole(roleContext(at, "ingest", logged));
	t.teardown(() => ingest.close());
	const port = Number(new URL((api.ready as { readonly api: string }).api).port);
	/** A connection with a certificate; null = without one. */
	const open = async (name: string | null): Promise<Socket> => {
		const own = name === null ? null : await ca.issue({ spiffeId: operator(name) });
		const shown = own === null ? {} : { cert: own.certificate, key: own.privateKey };
		const all = { host: "127.0.0.1", port, ca: ca.certificate, checkServerIdentity: () => undefined, ...shown };
		const socket = connect(all);
		await once(socket, "secureConnect");
		return socket;
	};
	const seconds = Math.floor(Date.now() / 1_000);
	/** The series of ingest's counter with such a label value. */
	const counted = async (counter: string, label: string, value: string): Promise<number> => {
		const metrics = (await readMetrics(at.ingestSocket))?.metrics as readonly Counter[];
		const values = metrics.find(({ name }) => name === counter)?.values ?? [];
		return values.find(({ labels }) => labels[label] === value)?.value ?? 0;
	};
	const token = await signed({ iss: ISSUER, aud: "weir-api", sub: NAME, iat: seconds, exp: seconds + 600 }, pair);
	return {
		at,
		owner,
		logged,
		open,
		/** A request with these head lines and this body. The connection ends with the answer. */
		send: async (name: string | null, head: readonly string[], body = "") =>
			answered(await open(name), `${lines(...head, "host: x", "connection: close")}\r\n\r\n${body}`),
		byToken: `authorization: Bearer ${token}`,
		accepted: () => counted("weir_ingest_outcomes_total", "result", "accepted"),
		/** Outcome rows of senders that may not post them. */
		barred: () => counted("weir_ingest_refused_outcomes_total", "reason", "sender-not-granted"),
	};
}

interface Counter {
	readonly name: string;
	readonly values: readonly { readonly value: number; readonly labels: Readonly<Record<string, string>> }[];
}

t.test("a request of any identity is framed or refused, and never read as the owner's", async (t) => {
	const { send, accepted, barred, owner, logged } = await startStack(t);
	const refused: readonly (readonly [status: number, head: readonly string[], body: string])[] = [
		...["GET", "DELETE", "HEAD", "PUT", "OPTIONS", "PATCH"].flatMap(
			(method) =>
				[
					[405, [`${method} /v1/outcomes HTTP/1.1`, CHUNKED], IN_CHUNKS],
					[405, [`${method} /v1/outcomes HTTP/1.1`, LENGTH], FORGED],
					[405, [`${method} /v1/outcomes HTTP/1.1`, CHUNKED, "expect: 100-continue"], IN_CHUNKS],
					[405, [`${method} /v1/outcomes/x HTTP/1.1`, CHUNKED, "connection: upgrade", "upgrade: h2c"], IN_CHUNKS],
				] as const,
		),
		// The parser refuses two framings that contradict each other, and bodies without an end.
		...["GET", "POST", "DELETE"].flatMap(
			(method) =>
				[
					[400, [`${method} /v1/outcomes HTTP/1.1`, "content-length: 0", CHUNKED], IN_CHUNKS],
					[400, [`${method} /v1/outcomes HTTP/1.1`, CHUNKED, LENGTH], IN_CHUNKS],
					[400, [`${method} /v1/outcomes HTTP/1.1`, "content-length: 0", LENGTH], FORGED],
					[400, [`${method} /v1/outcomes HTTP/1.1`, LENGTH, LENGTH], FORGED],
					[400, [`${method} /v1/outcomes HTTP/1.1`, "transfer-encoding: chunked, identity"], IN_CHUNKS],
					[400, [`${method} /v1/outcomes HTTP/1.1`, "transfer-encoding : chunked"], IN_CHUNKS],
				] as const,
		),
		// Framed, so that the forged request is an ordinary body.
		[400, ["POST /v1/outcomes HTTP/1.1", JSON_TYPE, CHUNKED], IN_CHUNKS],
		[400, ["POST /v1/outcomes HTTP/1.1", JSON_TYPE, LENGTH], FORGED],
		[415, ["POST /v1/outcomes HTTP/1.1", CHUNKED], IN_CHUNKS],
		...[
			["x-weir-caller: local%3Aroot"],
			["X-Weir-Caller: local:root"],
			["x_weir_caller: local%3Aroot"],
			["x-weir-caller: local%3Aroot", "connection: x-weir-caller"],
			["x-weir-caller: local%3Aroot", "x-weir-caller: local%3Aroot"],
			["x-weir-caller: local%3Aroot", "connection: content-length, transfer-encoding"],
		].map((more) => {
			const length = `content-length: ${rows("orders").length}`;
			return [403, ["POST /v1/outcomes HTTP/1.1", JSON_TYPE, length, ...more], rows("orders")] as const;
		}),
		[
			403,
			["POST /v1/outcomes HTTP/1.1", JSON_TYPE, CHUNKED, "trailer: x-weir-caller"],
			`${chunk(rows("orders"))}0\r\nx-weir-caller: local%3Aroot\r\n\r\n`,
		],
	];
	for (const [status, head, body] of refused) {
		const answer = await send("app", head, body);
		// Beside the interim answer.
		const final = /HTTP\/1\.1 100/.test(`HTTP/1.1 ${answer.status}`) ? answer.rest : `HTTP/1.1 ${answer.status}`;
		t.match(final, new RegExp(`^HTTP/1\\.1 ${status}`), `${head.join(", ")}`);
		if (status === 405) t.match(`${answer.head}${answer.rest}`, /\r\nallow: POST\r\n/);
		t.notMatch(answer.rest, /"accepted":1/);
	}
	t.equal(await accepted(), 0);

	const honest = ["POST /v1/outcomes HTTP/1.1", JSON_TYPE];
	const byLength = await send("app", [...honest, `content-length: ${rows("clicks").length}`], rows("clicks"));
	t.match(byLength, { status: 200, rest: /"accepted":1/ });
	const inChunks = await send("app", [...honest, CHUNKED], `${chunk(rows("clicks"))}0\r\n\r\n`);
	t.match(inChunks, { status: 200, rest: /"accepted":1/ });
	t.equal(await accepted(), 2, "by now whatever came before has been read");
	const body = { contentType: "application/json", text: rows("orders") };
	t.match(await owner.raw("POST", "/v1/outcomes", body), { status: 200, json: { accepted: 1 } }, "the owner's");
	const event = ["ce-specversion: 1.0", "ce-type: dev.weir.outcome", "ce-source: test", "ce-id: 1"];
	const row = JSON.stringify({ metric: "clicks", unit: "user-1", value: 1 });
	const inEvent = await send("app", [...honest, ...event, `content-length: ${row.length}`], row);
	t.match(inEvent, { status: 200, rest: /"accepted":1/ }, "a CloudEvent in binary mode keeps its attributes");

	const { json } = await owner.raw("GET", "/v1/requests?kind=outcome-refused");
	const { decisions } = json as AccessRecordsAnswer;
	t.equal(await barred(), refused.filter(([status]) => status === 403).length);
	t.equal(decisions.length, 1, "the first of a minute");
	t.match(decisions, [{ reason: "sender-not-granted", principal: APP, policy: "orders", count: 1 }]);
	const large = "x".repeat(OUTCOMES_BODY_BYTES_MAX + 1);
	const tooLarge = await send("app", [...honest, `content-length: ${large.length + 1_000}`], large);
	t.match(tooLarge, { status: 413, head: /connection: close/i });
	// A client that is still sending reads the answer too; closing at once would lose it.
	const more = "x".repeat(2 * OUTCOMES_BODY_BYTES_MAX);
	const text = ["POST /v1/outcomes HTTP/1.1", "content-type: text/plain"];
	for (let times = 0; times < 10; times++) {
		t.match(await send("app", [...honest, `content-length: ${more.length}`], more), { status: 413, rest: /in parts/ });
		t.match(await send("app", [...text, `content-length: ${more.length}`], more), { status: 415 });
	}
	t.same(
		logged.filter((line) => /"(level|severity)":"error"/i.test(line)),
		[],
	);
});

t.test("a sender that no Metric names is refused before its body has arrived", async (t) => {
	const { open, owner } = await startStack(t);
	const length = `content-length: ${OUTCOMES_BODY_BYTES_MAX}`;
	for (let times = 0; times < 3; times++) {
		const socket = (await open("unknown")).on("error", () => undefined);
		socket.write(lines("POST /v1/outcomes HTTP/1.1", "host: x", JSON_TYPE, length, "", ""));
		t.match(String(await once(socket, "data")), /^HTTP\/1\.1 403 /);
		socket.destroy();
	}
	const { json } = await owner.raw("GET", "/v1/requests?kind=outcome-refused");
	const { decisions } = json as AccessRecordsAnswer;
	t.match(decisions, [{ reason: "sender-not-granted", principal: operator("unknown"), count: 1 }]);
	t.equal(decisions.length, 1);
});

t.test("readers use GET without a body and need read; their name may have non-Latin letters", async (t) => {
	const { send, accepted, owner, byToken } = await startStack(t);
	const rules: readonly (readonly [status: number, head: readonly string[], body: string])[] = [
		"/v1/requests",
		"/v1/requests/x",
		"/v1/traces/x",
		"/metrics",
	].flatMap((path) => [
		[400, [`GET ${path} HTTP/1.1`, CHUNKED], IN_CHUNKS],
		[400, [`GET ${path} HTTP/1.1`, LENGTH], FORGED],
		[400, [`GET ${path} HTTP/1.1`, "content-length: 00"], ""],
		[405, [`DELETE ${path} HTTP/1.1`, CHUNKED], IN_CHUNKS],
		[405, [`POST ${path} HTTP/1.1`, CHUNKED], IN_CHUNKS],
		[path === "/metrics" ? 400 : 405, [`HEAD ${path} HTTP/1.1`, LENGTH], FORGED],
	]);
	for (const [status, head, body] of rules) {
		t.equal((await send("reader", head, body)).status, status, head.join(", "));
		t.equal((await send("app", head, body)).status, 403, `${head.join(", ")}, who may not read`);
	}
	// Node shows the first 2,000 headers, and frames by all.
	const hidden = ["GET /v1/requests HTTP/1.1", "host: x", ...Array(2_100).fill("a:"), CHUNKED];
	t.match(
		await send("reader", hidden, IN_CHUNKS),
		{ status: 200, rest: /^\{"decisions":\[[^\]]*\][^{}]*\}$/ },
		"one answer",
	);
	const { records } = await owner.audit(0, 1_000, "refused");
	const once = rules.filter(([, [line = ""]]) => line.includes(" /v1/requests HTTP")).length - 1;
	t.equal(records.filter(({ subject, verb }) => subject === APP && verb === "read").length, rules.length - once);
	const asks = [byToken, "content-length: 0"];
	t.match(await send(null, ["GET /v1/requests HTTP/1.1", ...asks]), { status: 200, rest: /"decisions":\[\]/ });
	t.match(await send(null, ["GET /v1/requests/x HTTP/1.1", ...asks]), { status: 404, rest: /no request is known/ });
	t.match(await send(null, ["GET /v1/traces/x HTTP/1.1", ...asks]), { status: 404, rest: /no recent span/ });
	t.match(await send(null, ["POST /v1/probe HTTP/1.1", ...asks]), { status: 200, rest: "null" });
	const probed = await send(null, ["POST /v1/probe HTTP/1.1", byToken, LENGTH], FORGED);
	t.match(probed, { status: 200, rest: "null" }, "one answer");
	const posted = ["POST /v1/outcomes HTTP/1.1", byToken, JSON_TYPE, `content-length: ${rows("clicks").length}`];
	t.match(await send(null, posted, rows("clicks")), { status: 403 }, "a user is no sender");
	const { json } = await owner.raw("GET", "/v1/requests?kind=outcome-refused");
	t.match((json as AccessRecordsAnswer).decisions, [{ reason: "no-identity", principal: null }]);
	t.equal(await accepted(), 0);
});

/** The forwarder alone, without checks, before an ingest that the test plays. */
async function startForwarder(t: Test, play: (socket: Socket) => void) {
	const socketPath = join(await temporaryDirectory(t), "owner.sock");
	const connections = new Set<Socket>();
	const owner = createServer((socket) => {
		connections.add(socket.on("error", () => undefined));
		play(socket);
	});
	await once(owner.listen(socketPath), "listening");
	t.teardown(() => {
		for (const one of connections) one.destroy();
		owner.close();
	});
	const caller: Caller = { subject: "spiffe://weir.test/a b", groups: [], how: "mtls" };
	const forward = forwardTo(socketPath, "ingest");
	const front = createHttpServer(async (call, answer) => {
		try {
			await forward(call, answer, caller);
		} catch (thrown) {
			sendError(answer, thrown);
		}
	});
	await once(front.listen(0, "127.0.0.1"), "listening");
	t.teardown(() => {
		front.closeAllConnections();
		front.close();
	});
	const { port } = front.address() as { readonly port: number };
	return {
		connections,
		owner,
		port,
		send: async (...text: readonly string[]) => {
			const socket = plainConnect(port, "127.0.0.1");
			await once(socket, "connect");
			return answered(socket, lines(...text));
		},
	};
}

t.test("the forwarder writes its own framing, on a new connection for each request", async (t) => {
	const heard: string[] = [];
	const { send, connections } = await startForwarder(t, (socket) => {
		let text = "";
		socket.setEncoding("latin1").on("data", (part: string) => {
			text += part;
			if (!/\r\n\r\n$/.test(text)) return;
			heard.push(text);
			// A second answer, which must reach no other request.
			socket.write(`HTTP/1.1 200 OK\r\nkeep-alive: timeout=9\r\ncontent-length: 1\r\n\r\n${heard.length}`);
			socket.write("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nleaked");
		});
	});
	const close = "connection: close, Content-Encoding";
	for (const method of ["GET", "HEAD", "DELETE"]) {
		for (const [head, body] of [
			[CHUNKED, IN_CHUNKS],
			[LENGTH, FORGED],
		] as const)
			t.equal((await send(`${method} /v1/outcomes HTTP/1.1`, "host: x", close, head, "", body)).status, 400);
	}
	t.equal(connections.size, 0, "nothing was sent");
	const extra = [
		"upgrade: h2c",
		"te: trailers",
		"proxy-connection: keep-alive",
		"cookie: a=b",
		"x-weir-caller: local%3Ax",
	];
	const post = ["POST /v1/outcomes?a=b HTTP/1.1", "host: x", close, JSON_TYPE, "content-encoding: gzip", ...extra];
	t.match(await send(...post, "idempotency-key: k", LENGTH, "", FORGED), { status: 200, rest: "1" });
	t.match(await send(...post, CHUNKED, "trailer: x-a", "", `${chunk(FORGED)}0\r\nx-a: b\r\n\r\n`), { rest: "2" });
	t.match(await send("GET /v1/requests HTTP/1.1", "host: x", close, ...extra, "", ""), { status: 200, rest: "3" });
	t.equal(connections.size, 3);
	const name = "x-weir-caller: spiffe%3A%2F%2Fweir.test%2Fa%20b";
	const own = ["host: localhost", "connection: close"];
	const frame = [...own, "transfer-encoding: chunked"];
	const sorted = heard.map((one) => {
		const [head = "", ...body] = one.split("\r\n\r\n");
		const [first = "", ...rest] = head.split("\r\n");
		return [first, rest.map((line) => line.replace(/^[^:]*/, (it) => it.toLowerCase())).sort(), body.join("\r\n\r\n")];
	});
	const asked = [JSON_TYPE, name];
	t.same(sorted, [
		["POST /v1/outcomes?a=b HTTP/1.1", [...asked, "idempotency-key: k", ...frame].sort(), IN_CHUNKS],
		["POST /v1/outcomes?a=b HTTP/1.1", [...asked, ...frame].sort(), IN_CHUNKS],
		["GET /v1/requests HTTP/1.1", [name, ...own].sort(), ""],
	]);
});

t.test("a client that reads only after it has written everything gets an early answer", async (t) => {
	const { port } = await startForwarder(t, (socket) => {
		// As ingest does: it answers after the head, and discards the body.
		socket.once("data", () => {
			socket.write("HTTP/1.1 415 No\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno");
			socket.resume();
		});
	});
	const length = 8 * 1024 * 1024;
	for (let times = 0; times < 5; times++) {
		const socket = plainConnect(port, "127.0.0.1").pause();
		await once(socket, "connect");
		const closed = once(socket, "close").then(() => "closed");
		socket.on("error", () => undefined);
		const head = lines("POST /v1/outcomes HTTP/1.1", "host: x", JSON_TYPE, `content-length: ${length}`, "", "");
		socket.write(head);
		const written = new Promise((resolve) =>
			socket.write("x".repeat(length), (fault) => resolve(fault == null ? "written" : String(fault))),
		);
		t.equal(await written, "written");
		const answer = Promise.race([once(socket, "data"), closed]);
		socket.resume();
		t.match(String(await answer), /^HTTP\/1\.1 415 .*\r\nconnection: close\r\n/is, "and the rest is no next request");
		socket.destroy();
	}
});

t.test("a cut early answer stays cut, and a client that disconnects leaves no connection behind", async (t) => {
	const { port, connections } = await startForwarder(t, (socket) => {
		socket.once("data", () => {
			socket.resume().write("HTTP/1.1 415 No\r\nconnection: close\r\ncontent-length: 10\r\n\r\nhalf");
		});
	});
	const asking = async () => {
		const socket = plainConnect(port, "127.0.0.1").on("error", () => undefined);
		await once(socket, "connect");
		socket.write(lines("POST /v1/outcomes HTTP/1.1", "host: x", JSON_TYPE, "content-length: 9999", "", "x"));
		await once(socket, "data");
		return socket;
	};
	const cut = await asking();
	for (const one of connections) one.destroy();
	await once(cut, "close");
	connections.clear();
	const leaving = await asking();
	const [owned] = connections;
	if (owned === undefined) throw new Error("nothing came");
	leaving.destroy();
	if (!owned.destroyed) await once(owned, "close");
	t.ok(owned.destroyed);
});

t.test("an unreachable ingest is reported, and a cut answer stays cut", async (t) => {
	const { send, owner } = await startForwarder(t, (socket) => {
		socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"));
	});
	const get = ["GET /v1/requests HTTP/1.1", "host: x", "", ""];
	t.match(await send(...get), { status: 200, rest: "half" });
	owner.close();
	const posted = await send("POST /v1/outcomes HTTP/1.1", "host: x", JSON_TYPE, "content-length: 9", "", "[");
	t.match(
		posted,
		{ status: 503, head: /connection: close\r\nretry-after: 1/i, rest: /ingest does not answer/ },
		"the body is not waited for",
	);
});
