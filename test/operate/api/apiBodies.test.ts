/**
 * Endless request bodies: the API refuses clients without rights unread, limits each subject and all together, and
 * serves others.
 */

import { fork } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect as connectPlain, type Socket } from "node:net";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import { API_BODY_BYTES_MAX } from "../../../src/operate/api/http.js";
import { API_OPERATION_BODY_BYTES_MAX } from "../../../src/operate/api/route.js";
import { CLIENT_REQUESTS_AT_ONCE_MAX } from "../../../src/trust/clients/clientLimiter.js";
import type { DevelopmentCa } from "../../trust/identity/developmentCa.js";
import { ALL, file, METRIC, temporaryDirectory } from "../employment.js";
import { controlTls, mutualApi, newCa, operator, operatorClient } from "../mutualApi.js";
import { binding } from "../operatorBinding.js";

t.setTimeout(60_000);

const wet = { dryRun: false };
const YAML = "content-type: application/yaml";

interface Sent {
	/** The API's answer; empty = nothing until the connection was closed. */
	readonly answered: Promise<string>;
	/** The part was written, or the API would not have it. */
	readonly written: Promise<unknown>;
	readonly socket: TLSSocket;
}

/** Sends bodies that never end, as a workload of the trust domain. */
async function sender(t: Test, ca: DevelopmentCa, url: string, spiffeId: string) {
	const own = await ca.issue({ spiffeId });
	const shown = {
		ca: ca.certificate,
		cert: own.certificate,
		key: own.privateKey,
		checkServerIdentity: () => undefined,
	};
	return async (target: string, part: Buffer | string, head = YAML, announced = part.length + 1): Promise<Sent> => {
		const socket = connect({ host: "127.0.0.1", port: Number(new URL(url).port), ...shown });
		t.teardown(() => socket.destroy());
		socket.on("error", () => {});
		let text = "";
		const answered = new Promise<string>((resolve) => {
			socket.setEncoding("utf8").on("data", (more: string) => {
				text += more;
				if (/\r\n\r\n[\s\S]+/.test(text)) resolve(text);
			});
			socket.once("close", () => resolve(text));
		});
		await once(socket, "secureConnect");
		socket.write(`${target} HTTP/1.1\r\nhost: x\r\n${head}\r\ncontent-length: ${announced}\r\n\r\n`);
		const written = Promise.race([new Promise<void>((resolve) => socket.write(part, () => resolve())), answered]);
		return { answered, written, socket };
	};
}

const status = (answer: string): number => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0);

t.test("hundreds of endless bodies leave control's memory bounded, and other operators are served", async (t) => {
	const directory = temporaryDirectory(t);
	const ca = await newCa();
	writeFileSync(join(directory, "tls.json"), JSON.stringify(await controlTls(ca)));
	const process = fileURLToPath(new URL("apiProcess.js", import.meta.url));
	const child = fork(process, [directory, join(directory, "tls.json")], {
		stdio: ["ignore", "pipe", "inherit", "ipc"],
	});
	t.teardown(() => child.kill("SIGKILL"));
	const [ready] = (await once(child.stdout ?? child, "data")) as [Buffer];
	const url = String(ready).trim().replace("READY ", "");
	const rssMb = async (): Promise<number> => {
		child.send("rss");
		const [bytes] = (await once(child, "message")) as [number];
		return bytes / 1e6;
	};
	const owner = new ApiClient(`unix:${join(directory, "api.sock")}`);
	await owner.apply(file([ALL, binding("two", "apply", ["ada", "bob"], "['*']")].join("---\n")), wet);
	const bob = await operatorClient(ca, url, "bob");
	const part = Buffer.alloc(API_BODY_BYTES_MAX - 1, 0x20);
	const many = async (spiffeId: string): Promise<readonly Sent[]> => {
		const send = await sender(t, ca, url, spiffeId);
		const all: Sent[] = [];
		while (all.length < 100) {
			const sent = await send("POST /v1/resources", part);
			await sent.written;
			all.push(sent);
		}
		return all;
	};
	const before = await rssMb();
	const withoutRole = await many("spiffe://weir.test/ns/team/sa/app");
	const refusalsUnread = await Promise.all(withoutRole.map(({ answered }) => answered));
	// An answer ends some time after a body that does not, and one subject has a bound of those.
	const refusals = refusalsUnread.map(status);
	t.ok(
		refusals.every((code) => code === 403 || code === 429),
		"each is answered, though its body never ends",
	);
	t.match(refusalsUnread[0], /sa\/app needs the verb apply in at least one namespace/);
	t.match((await owner.audit(0, 10, "refused")).records[0], {
		verb: "apply",
		objects: ["1 file, unread"],
		namespaces: [],
	});

	const answers: string[] = [];
	const all = await many(operator("ada"));
	await new Promise<void>((resolve) => {
		for (const { answered } of all) {
			void answered.then((answer) => {
				if (answers.push(answer) === all.length - CLIENT_REQUESTS_AT_ONCE_MAX) resolve();
			});
		}
	});
	t.same(new Set(answers.map(status)), new Set([429]), "the others are in progress");
	t.match(answers[0], /\r\nretry-after: 1\r\n/i);
	const probe = await sender(t, ca, url, operator("ada"));
	t.equal(status(await (await probe("GET /healthz", "", YAML, 0)).answered), 200, "a probe of liveness is not limited");
	const after = await rssMb();
	t.ok(after - before < 300, `${before.toFixed()} MB before, ${after.toFixed()} MB after`);
	t.match(await bob.apply(file(METRIC.replace("accuracy", "clicks")), wet), { outcome: "applied", revision: 2 });
});

t.test("the body of a caller without rights is not read, and the refusal reveals nothing", async (t) => {
	const { api, ca, owner, store } = await mutualApi(t);
	await owner.apply(
		file(
			[ALL, binding("rita", "read", ["rita"], "['*']"), binding("ada", "promote", ["ada"], "[default]")].join("---\n"),
		),
		wet,
	);
	const JSON_TYPE = "content-type: application/json";
	const ask = async (name: string, target: string, announced?: number): Promise<string> => {
		const send = await sender(t, ca, api.url, operator(name));
		const answer = await (await send(target, "{", JSON_TYPE, announced)).answered;
		return `${status(answer)} ${/"message":"([^"]*)"/.exec(answer)?.[1]}`;
	};
	const denied = (name: string, verb: string) => `403 ${operator(name)} needs the verb ${verb}`;
	for (const name of ["roleless", "rita"]) {
		for (const target of ["POST /v1/resources", "POST /v1/deletions", "POST /v1/rollback"])
			t.equal(await ask(name, target), denied(name, "apply in at least one namespace"), target);
	}
	for (const id of ["boosted", "none"]) {
		t.equal(await ask("roleless", `POST /v1/experiments/${id}/abort`), `404 no Experiment '${id}'`);
	}
	t.equal(await ask("rita", "POST /v1/experiments/boosted/abort"), denied("rita", "abort in namespace default"));
	for (const act of ["approve", "reject"])
		t.equal(await ask("rita", `POST /v1/approvals/x/${act}`), "404 no request 'x'");
	const recorded = store.audit.page(0, 10, "refused").records.map(({ verb, objects }) => [verb, ...objects]);
	const unread = [
		["apply", "files, unread"],
		["delete", "resources, unread"],
		["rollback", "unread"],
	];
	const unseen = ["boosted", "none"].map((id) => ["abort", `Experiment ${id}`]);
	t.same(recorded, [...unread, ...unread, ...unseen, ["abort", "Experiment boosted"]]);
	const large = await ask("ada", "POST /v1/experiments/boosted/pause", API_OPERATION_BODY_BYTES_MAX + 1);
	t.equal(large, `413 the body is larger than ${API_OPERATION_BODY_BYTES_MAX} bytes`, "as announced");
	t.equal(await ask("ada", "POST /v1/experiments/boosted/pause", 1), "400 the body is not JSON");
});

t.test(
	"a connection ends after its answer, though its client keeps sending the body",
	{ timeout: 30_000 },
	async (t) => {
		const { api, ca } = await mutualApi(t);
		const own = await ca.issue({ spiffeId: operator("roleless") });
		const shown = {
			ca: ca.certificate,
			cert: own.certificate,
			key: own.privateKey,
			checkServerIdentity: () => undefined,
		};
		const port = Number(new URL(api.url).port);
		/** @returns the answer, once the connection has ended */
		const ask = async (socket: Socket, path: string, framing: string, part: string): Promise<string> => {
			t.teardown(() => socket.destroy());
			let text = "";
			socket.setEncoding("utf8").on("data", (more: string) => {
				text += more;
			});
			socket.on("error", () => {}).write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n${framing}\r\n\r\n`);
			// Below the time for which a connection may be idle.
			const feeding = setInterval(() => socket.write(part), 200);
			// A clean close, or a reset while the client still sends.
			await new Promise((resolve) => socket.once("close", resolve));
			clearInterval(feeding);
			return text;
		};
		const framings = [
			["transfer-encoding: chunked", "1\r\nx\r\n"],
			["content-length: 100000", "x"],
		] as const;
		const asked = framings.flatMap(([framing, part]) => [
			...["/healthz", "/readyz", "/v1/status", "/internal/plans"].map((path) =>
				ask(connectPlain(api.socket), path, framing, part),
			),
			ask(connect({ host: "127.0.0.1", port, ...shown }), "/healthz", framing, part),
		]);
		for (const answer of await Promise.all(asked))
			t.match(answer, /^HTTP\/1\.1 200 .*\r\nconnection: close\r\n/is, "its sender reads it");
	},
);
