/** Requests to gates and which answers count as a yes, with real servers that work and that fail. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import t, { type Test } from "tap";
import type { GateQuestion } from "../../../src/decide/rollout/gate.js";
import { postWebhook, webhookBy } from "../../../src/operate/webhooks/webhook.js";
import { createDevelopmentCa } from "../../trust/identity/developmentCa.js";

const QUESTION: GateQuestion = {
	id: 'team/trial/5/before-step/0/"ramp"',
	at: "before-step",
	experiment: "team/trial",
	namespace: "team",
	service: "team/employment",
	action: "ramp",
	from: { phase: "Running", allocationPpm: 20_000, takeoverPpm: null, arm: null },
	to: { phase: "Running", allocationPpm: 100_000, takeoverPpm: null, arm: null },
	summary: "Half of the people take part now.",
	reason: "Ramped.",
	evidence: [],
	srmP: 0.4,
};

async function receiver(t: Test, answer: RequestListener): Promise<{ url: string; calls: IncomingMessage[] }> {
	const calls: IncomingMessage[] = [];
	const server = createServer((request, response) => {
		calls.push(request);
		answer(request, response);
	}).listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => {
		server.close();
		server.closeAllConnections();
	});
	return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls };
}

const ask = (url: string, timeoutMs = 30_000) => postWebhook({ at: "before-step", url, timeoutMs }, QUESTION);

t.test("a gate gets a POST of JSON with an idempotency id; any 2xx is a yes", async (t) => {
	let body = "";
	const { url, calls } = await receiver(t, async (request, response) => {
		for await (const chunk of request) body += chunk;
		response.writeHead(204).end();
	});
	t.same(await ask(`${url}/hook?key=1`), { ok: true });
	t.same(JSON.parse(body), QUESTION);
	t.match(calls[0], { method: "POST", url: "/hook?key=1" });
	t.equal(calls[0]?.headers["content-type"], "application/json");
	t.equal(JSON.parse(String(calls[0]?.headers["idempotency-key"])), QUESTION.id);
});

t.test("any other status is a no, with the message of a JSON answer on one line and nothing else of it", async (t) => {
	const message = "change \u001b[31mfreeze\r\nuntil Monday";
	const answers: Readonly<Record<number, readonly [type: string, body: string]>> = {
		403: ["application/json; charset=utf-8", JSON.stringify({ message, password: "hunter2" })],
		404: ["text/plain", "db password: hunter2"],
		409: ["application/json", '{"message": {"password": "hunter2"}}'],
		410: ["application/json", '"hunter2"'],
		418: ["application/json", "hunter2"],
		429: ["application/jsonp", '{"message": "hunter2"}'],
		500: ["text/html", "<p>hunter2"],
	};
	const { url } = await receiver(t, (request, response) => {
		const status = Number(request.url?.slice(1));
		const [type, body] = answers[status] ?? ["text/plain", ""];
		response.writeHead(status, { "content-type": type }).end(body);
	});
	t.same(await ask(`${url}/403`), { ok: false, why: "HTTP 403: change [31mfreeze", status: 403 });
	for (const status of [404, 409, 410, 418, 429, 500]) {
		t.same(await ask(`${url}/${status}`), { ok: false, why: `HTTP ${status}`, status });
	}
	t.same(await ask(`${url}/503`), { ok: false, why: "HTTP 503", status: 503 });
	t.same(await ask(`${url}/400`), { ok: false, why: "HTTP 400", status: 400 });
});

t.test("a redirect is a no, and is not followed", async (t) => {
	const target = await receiver(t, (_, response) => response.writeHead(200).end());
	const { url } = await receiver(t, (_, response) => response.writeHead(307, { location: target.url }).end());
	t.match(await ask(url), { ok: false, why: /HTTP 307: redirects/ });
	t.equal(target.calls.length, 0);
});

t.test("an endless answer is read only up to a limit", async (t) => {
	const { url } = await receiver(t, (request, response) => {
		response.writeHead(Number(request.url?.slice(1)), { "content-type": "application/json" });
		const more = (): void => {
			while (!response.destroyed && response.write("x".repeat(65_536)));
		};
		response.on("drain", more);
		more();
	});
	t.same(await ask(`${url}/200`), { ok: true }, "the status is the answer");
	t.same(await ask(`${url}/500`), { ok: false, why: "HTTP 500", status: 500 });
});

t.test(
	"no answer is a no, with one message for a timeout, a cut connection, no listener, no TLS and no name",
	async (t) => {
		const none = (cause: string | RegExp) => ({
			ok: false,
			why: "it could not be asked, or gave no answer within 300 ms; control's log has the cause",
			cause,
		});
		const silent = await receiver(t, () => {});
		t.same(await ask(silent.url, 300), none("silence"));
		const cut = await receiver(t, (request) => void request.socket.destroy());
		t.same(await ask(cut.url, 300), none("ECONNRESET"));
		const half = await receiver(t, (request) => void request.socket.end("HTTP/1.1 2"));
		t.match(await ask(half.url, 300), none(/./));
		const plain = await receiver(t, () => {});
		t.match(await ask(plain.url.replace("http://", "https://"), 300), none(/./), "an open port that speaks no TLS");
		t.equal(plain.calls.length, 0);
		const closed = new URL(plain.url);
		closed.port = "1";
		t.same(await ask(closed.href, 300), none("ECONNREFUSED"));
		t.same(await ask(closed.href.replace("http://", "https://"), 300), none("ECONNREFUSED"));
		const nowhere = webhookBy((_, __, callback) => callback(Object.assign(new Error(), { code: "ENOTFOUND" }), []));
		const url = "https://gate.example/";
		t.same(await nowhere({ at: "before-step", url, timeoutMs: 300 }, QUESTION), none("ENOTFOUND"));
	},
);

t.test("a name that resolves to control's own machine is called only if the gate is declared there", async (t) => {
	const { url, calls } = await receiver(t, (_, response) => response.writeHead(200).end());
	const { port } = new URL(url);
	const refused = {
		ok: false,
		why: "it leads to control's own machine, and is not declared there (http://127.0.0.1:PORT, with --allow-local-gates)",
	};
	const own = [
		"127.0.0.1",
		"127.9.9.9",
		"0.0.0.0",
		"::1",
		"::",
		"::ffff:127.0.0.1",
		"::ffff:7f00:1",
		"::ffff:0.0.0.0",
		"::127.0.0.1",
		"64:ff9b::127.0.0.1",
		"::1%lo",
	];
	const leading = (...addresses: readonly string[]) =>
		webhookBy((_, __, callback) =>
			callback(
				null,
				addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
			),
		);
	const gate = { at: "before-step", url: `https://gate.example:${port}/`, timeoutMs: 300 } as const;
	for (const address of own) {
		t.same(await leading(address)(gate, QUESTION), refused, address);
		t.same(await leading("10.0.0.1", address)(gate, QUESTION), refused, `${address} beside another`);
	}
	for (const literal of ["[::127.0.0.1]", "[64:ff9b::7f00:1]"])
		t.same(await ask(`https://${literal}:${port}/`), refused, literal);
	t.equal(calls.length, 0);
	for (const other of ["10.0.0.1", "128.0.0.1", "126.255.255.255", "fd00::1", "2001:db8::7f00:1"])
		t.match(await leading(other)({ ...gate, timeoutMs: 50 }, QUESTION), { why: /^it could not be asked/ }, other);
	t.same(await ask(url), { ok: true });
	for (const name of ["localhost", "a.localhost"]) {
		const declared = { ...gate, url: `http://${name}:${port}/` };
		if (name === "localhost") t.same(await leading("127.0.0.1")(declared, QUESTION), { ok: true }, name);
		const secure = { ...gate, url: `https://${name}:${port}/` };
		t.match(
			await leading("127.0.0.1")(secure, QUESTION),
			{ why: /^it could not be asked/ },
			`${name} by https is asked`,
		);
	}
});

t.test(
	"URLs with credentials, other schemes or plain http to other machines are refused without a request",
	async (t) => {
		const { url, calls } = await receiver(t, (_, response) => response.writeHead(200).end());
		const secret = url.replace("http://", "http://user:pass@");
		const answer = await ask(secret);
		t.match(answer, { ok: false, why: /credentials/ });
		t.notMatch(JSON.stringify(answer), /user|pass/);
		for (const other of [
			"http://gate.example/",
			"http://127.0.0.1.evil.example/",
			"ftp://127.0.0.1/",
			"file:///etc/passwd",
			"x",
		]) {
			t.match(await ask(other), { ok: false }, other);
		}
		t.equal(calls.length, 0);
	},
);

t.test("link-local and metadata addresses are not called, by any name", async (t) => {
	const { url, calls } = await receiver(t, (_, response) => response.writeHead(200).end());
	const refused = { ok: false, why: "it cannot be reached (a link-local address)" };
	const metadata = { ok: false, why: "it cannot be reached (an address of a cloud's metadata)" };
	for (const host of ["169.254.169.254", "[fe80::1]", "[febf::1]", "[::ffff:169.254.169.254]"]) {
		t.same(await ask(`https://${host}/latest`), refused, host);
	}
	for (const host of ["[fd00:ec2::254]", "[fd20:ce::254]", "100.100.100.200"]) {
		t.same(await ask(`https://${host}/latest`), metadata, host);
	}
	const by = (...addresses: readonly string[]) =>
		webhookBy((_, __, callback) =>
			callback(
				null,
				addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
			),
		);
	const named = { at: "before-step", url: url.replace("127.0.0.1", "localhost"), timeoutMs: 30_000 } as const;
	t.same(await by("127.0.0.1")(named, QUESTION), { ok: true });
	t.equal(calls.length, 1);
	for (const address of ["169.254.0.1", "fe80::1"]) {
		t.same(await by("127.0.0.1", address)(named, QUESTION), refused, address);
		t.same(await by(address)({ ...named, url: "https://gate.example/" }, QUESTION), refused, address);
	}
	const gate = { ...named, url: "https://gate.example/" };
	t.same(await by("10.0.0.1", "fd00:ec2::254")(gate, QUESTION), metadata);
	t.match(await by()(named, QUESTION), { ok: false, why: /gave no answer within/ });
	t.equal(calls.length, 1);
});

t.test("https accepts only a certificate that this machine trusts", async (t) => {
	const ca = await createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 60_000 });
	const own = await ca.issue({ spiffeId: "spiffe://weir.test/gate", dnsNames: ["localhost"] });
	let calls = 0;
	const server = createSecureServer({ key: own.privateKey, cert: own.certificate }, (_, response) => {
		calls += 1;
		response.writeHead(200).end();
	}).listen(0, "localhost");
	await once(server, "listening");
	t.teardown(() => server.close());
	t.match(await ask(`https://localhost:${(server.address() as AddressInfo).port}/`), {
		ok: false,
		why: /gave no answer within/,
		cause: /./,
	});
	t.equal(calls, 0);
});
