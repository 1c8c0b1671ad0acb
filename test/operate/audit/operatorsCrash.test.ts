/** kill -9 during operations over mTLS: each acknowledged operation is stored whole and in the audit log. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import t from "tap";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import { AuditChain } from "../../../src/operate/audit/auditChain.js";
import type { AuditRecord } from "../../../src/operate/audit/auditRecord.js";
import { ALL, file, METRIC, temporaryDirectory } from "../employment.js";
import { controlTls, newCa, operator, operatorClient } from "../mutualApi.js";

const now = { dryRun: false };
const ROUNDS = 4;
const RULES = `apiVersion: weir.dev/v1alpha1
kind: RoleBinding
metadata: {name: ada}
spec: {verbs: [apply], subjects: ["${operator("ada")}"], namespaces: ["*"]}
---
apiVersion: weir.dev/v1alpha1
kind: RoleBinding
metadata: {name: bob}
spec: {verbs: [approve, promote], subjects: ["${operator("bob")}"], namespaces: ["*"]}
`;
const POLICY = `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: two}
spec: {verbs: [apply], namespaces: [default]}
`;

// Every act is a durable write, and the machine may be busy.
t.setTimeout(300_000);

t.test("an answered operation is stored and recorded, and every record has its operation", async (t) => {
	const directory = temporaryDirectory(t);
	const ca = await newCa();
	const tlsFile = join(directory, "tls.json");
	writeFileSync(tlsFile, JSON.stringify(await controlTls(ca)), { mode: 0o600 });
	const script = fileURLToPath(new URL("../api/apiProcess.js", import.meta.url));
	const start = async () => {
		const child: ChildProcess = spawn(process.execPath, [script, directory, tlsFile], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		t.teardown(() => child.kill("SIGKILL"));
		const [line] = (await once(createInterface(child.stdout as NodeJS.ReadableStream), "line")) as [string];
		const url = line.replace("READY ", "");
		const [ada, bob] = await Promise.all([operatorClient(ca, url, "ada"), operatorClient(ca, url, "bob")]);
		return { child, ada, bob, owner: new ApiClient(`unix:${join(directory, "api.sock")}`) };
	};
	let running = await start();
	await running.owner.apply(file([ALL, RULES].join("---\n")), now);
	await running.owner.apply(file(POLICY), now);
	const answered = { asked: new Map<string, string>(), done: new Map<string, string>(), operations: 0 };
	for (let round = 0; round < ROUNDS; round++) {
		const { child, ada, bob } = running;
		let killed = false;
		const target = answered.done.size + 4 + round;
		const stream = async (step: (turn: number) => Promise<void>): Promise<void> => {
			for (let turn = 0; ; turn++) {
				try {
					await step(turn);
				} catch (error) {
					if (killed) return;
					throw error;
				}
			}
		};
		const streams = [
			stream(async (turn) => {
				const name = `m${round}-${turn}`;
				const answer = await ada.apply(file(METRIC.replaceAll("accuracy", name)), now);
				if (answer.outcome !== "pending") throw new Error(`not pending: ${JSON.stringify(answer)}`);
				answered.asked.set(answer.request.id, name);
				const request = await bob.approve(answer.request.id);
				if (request.state !== "done") throw new Error(`not done: ${request.state}`);
				answered.done.set(answer.request.id, name);
			}),
			stream(async (turn) => {
				await bob.act("boosted", turn % 2 === 0 ? "pause" : "resume");
				answered.operations += 1;
			}),
		];
		while (answered.done.size < target) await new Promise((resolve) => setTimeout(resolve, 2));
		await new Promise((resolve) => setTimeout(resolve, 30 * Math.random()));
		killed = true;
		const ended = once(child, "exit");
		child.kill("SIGKILL");
		await ended;
		await Promise.all(streams);

		running = await start();
		const { owner } = running;
		const names = new Set((await owner.get()).resources.map(({ metadata }) => metadata.name));
		const requests = new Map((await owner.requests()).map((request) => [request.id, request]));
		t.same(
			[...answered.asked.keys()].filter((id) => !requests.has(id)),
			[],
			`round ${round}: ${answered.asked.size} requests are there`,
		);
		t.same(
			[...answered.done].filter(([id, name]) => requests.get(id)?.state !== "done" || !names.has(name)),
			[],
			`${answered.done.size} approvals are there, with what they let happen`,
		);
		const half = [...requests.values()].filter((request) => {
			const name = /created Metric (.*)/.exec(request.effects[0] ?? "")?.[1] ?? "";
			return (
				(request.state === "done") !== names.has(name) || (request.state === "done" && request.approvals.length !== 1)
			);
		});
		t.same(half, [], "nothing happened without its approval, and nothing was approved by half");
		const records: AuditRecord[] = [];
		const chain = new AuditChain();
		for (let after: number | null = 0; after !== null; ) {
			const page: Awaited<ReturnType<typeof owner.audit>> = await owner.audit(after);
			for (const record of page.records) {
				chain.add(record);
				records.push(record);
			}
			if (page.next === null) t.equal(chain.end(page), null, "the chain holds");
			after = page.next;
		}
		const carried = records.filter(
			({ verb, result, request }) => verb === "apply" && result === "done" && request !== null,
		);
		t.same(
			carried.map(({ request, askedBy, approvedBy }) => [request, askedBy, approvedBy]).sort(),
			[...requests.values()]
				.filter(({ state }) => state === "done")
				.map(({ id }) => [id, operator("ada"), [operator("bob")]])
				.sort(),
			"each act has one record, each record its act",
		);
		let decided = 0;
		for await (const decision of owner.allDecisions("boosted")) if (decision.by === operator("bob")) decided += 1;
		const operations = records.filter(({ verb }) => verb === "pause" || verb === "resume");
		t.ok(decided >= answered.operations, `${answered.operations} operations are there`);
		t.equal(operations.length, decided);
		// The next round begins with a pause.
		if (decided % 2 === 1) await running.bob.act("boosted", "resume").then(() => (answered.operations += 1));
	}
});
