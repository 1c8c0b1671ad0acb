/** All workers of a sidecar accept a DPoP proof once, also after one of them was replaced. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { calculateJwkThumbprint } from "jose";
import t from "tap";
import { AskedProofs, PROOF_QUERY_MS, type ProofAsked, UsedProofs } from "../../../src/cli/sidecar/usedProofs.js";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { PROOF_KEPT_MS, TOKENS_PENDING_MAX } from "../../../src/limits/index.js";
import { startSidecarChild } from "../../failure/sidecarChild.js";
import { accessPolicy, CALLOUT, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
import { type CheckClient, checkClient } from "../../publish/sidecar/checkClient.js";
import {
	CLAIMS,
	ISSUER,
	issuerOf,
	jwksBytes,
	keyPair,
	proofOf,
	publicJwk,
	Scene,
	signed,
} from "../../trust/tokens/issuer.js";
import { temporaryDirectory } from "../command.js";

t.setTimeout(120_000);

/** More connections than workers: the primary distributes them. */
const CONNECTIONS = 8;
const ROUNDS = 10;

const [pair, holder] = [await keyPair(), await keyPair()];
const directory = await temporaryDirectory(t);
const [keys, table, socketPath] = ["keys.json", "table.json", "s.sock"].map((name) => join(directory, name)) as [
	string,
	string,
	string,
];
await writeFile(keys, jwksBytes([await publicJwk(pair, { kid: "k1" })]));
const { version, table: compiled } = compile(
	resourceSet({
		gateways: [gateway({ tokens: [issuerOf({ keys: { from: "file", file: keys }, binding: "dpop" })] })],
		services: [service("users", [variant("v1", 1)], { access: null, callout: { ...CALLOUT, access: "sidecar" } })],
		accessPolicies: [accessPolicy("ann", "allow", ["users"], { users: [`${ISSUER}#ann`] })],
	}),
	EMPTY_STATUS,
	{ collectors: NO_COLLECTORS },
);
await writeFile(table, JSON.stringify({ version, table: compiled }), { mode: 0o600 });
const iat = Math.floor(Date.now() / 1_000);
const jkt = await calculateJwkThumbprint(await publicJwk(holder));
const token = await signed({ ...CLAIMS, iat, exp: iat + 600, cnf: { jkt } }, pair);
const proof = (): Promise<string> =>
	proofOf(holder, token, { claims: { iat: Math.floor(Date.now() / 1_000), htu: "http://users.test/v2" } });
const shown = (dpop: string) => ({
	...{ scheme: "http", method: "GET", path: "/v2", host: "users.test" },
	headers: { authorization: `DPoP ${token}`, dpop },
});
/** A worker that is late asks its client to retry: it has not judged the request. */
async function check(client: CheckClient, dpop: string): ReturnType<CheckClient["check"]> {
	for (;;) {
		try {
			return await client.check(shown(dpop));
		} catch (error) {
			if ((error as { code?: unknown }).code !== status.RESOURCE_EXHAUSTED) throw error;
			await pause(50);
		}
	}
}

/** @returns the number of answers by HTTP status; 200 = allowed */
async function statuses(clients: readonly CheckClient[], dpop: string): Promise<Readonly<Record<number, number>>> {
	const counts: Record<number, number> = {};
	for (const answer of await Promise.all(clients.map((client) => check(client, dpop)))) {
		const { httpResponse } = answer;
		const code = httpResponse.case === "deniedResponse" ? (httpResponse.value.status?.code ?? 0) : 200;
		counts[code] = (counts[code] ?? 0) + 1;
	}
	return counts;
}

/** Waits until a worker listens again. */
async function answered(dpop: string): Promise<void> {
	for (;;) {
		const client = checkClient(socketPath);
		try {
			await client.check(shown(dpop));
			return;
		} catch {
			await pause(50);
		} finally {
			client.close();
		}
	}
}

t.test("two verifiers with a shared memory accept a proof once", async (t) => {
	const bound = await signed({ ...CLAIMS, cnf: { jkt } }, pair);
	const memory = new UsedProofs(2);
	const worker = async () => {
		const asked: AskedProofs = new AskedProofs((ask) => setImmediate(() => asked.answered(memory.answer(ask))));
		return new Scene([await publicJwk(pair, { kid: "k1" })], [issuerOf({ binding: "dpop" })], { proofs: asked });
	};
	const workers = [await worker(), await worker()];
	for (let round = 0; round < 3; round++) {
		const dpop = [await proofOf(holder, bound)];
		const verdicts = await Promise.all(
			workers.map((one) => one.verify(null, { authorization: [`DPoP ${bound}`], dpop })),
		);
		t.match(verdicts.sort(), [/^invalid-token: .*used/, "ok ann"]);
	}
});

t.test("the primary remembers a proof while it is valid, and while a worker may wait for the answer", (t) => {
	// At any time: the memory forgets in steps of a part of that time.
	for (let comesMs = 0; comesMs < PROOF_KEPT_MS; comesMs += PROOF_QUERY_MS / 2) {
		const at = { ms: comesMs };
		const memory = new UsedProofs(2, () => at.ms);
		const take = () => memory.answer({ kind: "proof", ask: 1, id: "id" }).taken;
		const taken = [take()];
		at.ms += PROOF_KEPT_MS + PROOF_QUERY_MS;
		taken.push(take());
		at.ms += PROOF_KEPT_MS;
		taken.push(take());
		t.same(taken, ["first", "again", "first"], `at ${comesMs} ms`);
	}
	t.end();
});

t.test("a primary that does not answer is asked no more, and no proof is accepted", async (t) => {
	const sent: ProofAsked[] = [];
	const asked = new AskedProofs((ask) => sent.push(ask), 1);
	for (let n = 0; n < TOKENS_PENDING_MAX + 5; n++) t.equal(await asked.take(`id ${n}`), "unanswered");
	t.equal(sent.length, TOKENS_PENDING_MAX);
	const memory = new UsedProofs(1);
	for (const ask of sent) asked.answered(memory.answer(ask));
	const late = asked.take("id 0");
	const [last] = sent.slice(TOKENS_PENDING_MAX);
	if (last === undefined) throw new Error("it was not asked");
	asked.answered(memory.answer(last));
	t.equal(await late, "again", "it has heard of those that were waited for no more");
});

t.test("one proof at once over many connections is accepted once", async (t) => {
	const sidecar = await startSidecarChild(t, {
		arguments: ["--table", table, "--socket", socketPath, "--workers", "2"],
	});
	const connect = () =>
		Array.from({ length: CONNECTIONS }, () => {
			const client = checkClient(socketPath);
			t.teardown(() => client.close());
			return client;
		});
	const clients = connect();
	const single = { 200: 1, 401: CONNECTIONS - 1 };
	for (let round = 0; round < ROUNDS; round++) t.same(await statuses(clients, await proof()), single);

	const used = await proof();
	t.same(await statuses(clients.slice(0, 1), used), { 200: 1 });
	process.kill(sidecar.pid, "SIGSTOP");
	t.same(await statuses(clients, await proof()), { 429: CONNECTIONS }, "while the primary hangs none is let in");
	process.kill(sidecar.pid, "SIGCONT");
	t.same(await statuses(clients, await proof()), single);
	const workers = (): number[] =>
		execFileSync("pgrep", ["-P", String(sidecar.pid)], { encoding: "utf8" })
			.trim()
			.split("\n")
			.map(Number);
	const before = workers();
	t.equal(before.length, 2);
	for (const worker of before) process.kill(worker, "SIGKILL");
	while ((sidecar.log().match(/ended \(SIGKILL\)/g) ?? []).length < before.length)
		await once(sidecar.child.stderr as Readable, "data");
	await answered(used);
	t.same(await statuses(connect(), used), { 401: CONNECTIONS }, "workers of after know what those of before let in");
	t.notOk(workers().some((worker) => before.includes(worker)));
	t.same(await statuses(connect(), await proof()), single, "and let in others");
	t.equal(await sidecar.end("SIGTERM"), 0);
});
