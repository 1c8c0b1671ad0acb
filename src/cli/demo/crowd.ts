/**
 * The demo's crowd, a child process (crowdProcess.ts): each person asks the model one to three times, and a moment later
 * the API gets the label, whether the answer was right. The app and the sender of labels have an identity each. Every
 * answer is checked for its status, and that no person changes arm.
 */
import { type ClientHttp2Session, connect } from "node:http2";
import { type Agent, request } from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import { clientTls, mutualAgent } from "../../trust/identity/nodeTls.js";
import type { Identity } from "../../trust/identity/svid.js";
import { ownIdentity } from "../stack/identity.js";
import { type CrowdCount, type CrowdOrders, NO_COUNT } from "./crowdProcess.js";
import { hostOf } from "./declaration.js";
import type { DemoService } from "./modes.js";
import { Pace } from "./pace.js";
import { type Person, readPeople } from "./people.js";

const TICK_MS = 5;
const REQUEST_TIMEOUT_MS = 5_000;
/** No more people come while so many wait for an answer: a stalled machine is not a failed request. */
const IN_FLIGHT_MAX = 200;
const LABEL_DELAY_MS = 150;
/** People ask again after about this long. */
const RETURN_MS = [120, 450] as const;

const count: { -readonly [Field in keyof CrowdCount]: CrowdCount[Field] } = { ...NO_COUNT };
/** Latencies of the first variants alone: one of the second ones is slow on purpose. */
let latencies: number[] = [];
const pace = new Pace();
const report = (): CrowdCount => ({ ...count, share: pace.share, stage: pace.stage });
const people = readPeople();
let stopping = false;

process.once("disconnect", () => process.exit(0));
process.on("message", (message: { start?: CrowdOrders; settle?: true; stop?: true }) => {
	if (message.start !== undefined) void work(message.start);
	if (message.settle) pace.settle();
	if (message.stop) stopping = true;
});

async function work(orders: CrowdOrders): Promise<void> {
	const reports = setInterval(() => process.send?.({ count: report() }), 250);
	const seconds = setInterval(() => {
		latencies.sort((a, b) => a - b);
		// No answer for a second counts as a latency of a second.
		count.p90Ms = latencies[Math.floor(latencies.length * 0.9)] ?? (count.inFlight > 0 ? 1_000 : 0);
		latencies = [];
		pace.second(count.p90Ms);
	}, 1_000);
	const [app, labels, outsiderIdentity] = await Promise.all(
		[orders.app, orders.labels, orders.outsider].map((socket) => ownIdentity(socket)),
	);
	if (app === undefined || labels === undefined || outsiderIdentity === undefined) return;
	const outcomes = new OutcomePoster(orders, labels);
	const loads = orders.services.map((service) => new ServiceLoad(orders, app, service, outcomes));
	const outsider = new Line(orders, outsiderIdentity);
	let outsiderDue = 0;
	const start = performance.now();
	let lastMs = 0;
	while (!stopping) {
		const elapsedMs = performance.now() - start;
		for (const load of loads) load.arrive((elapsedMs - lastMs) * pace.share);
		lastMs = elapsedMs;
		if (elapsedMs >= outsiderDue) {
			outsiderDue += 100;
			void askWithoutRights(outsider, orders);
		}
		await pause(TICK_MS);
	}
	const deadline = performance.now() + REQUEST_TIMEOUT_MS + 1_000;
	while ((count.inFlight > 0 || !outcomes.idle) && performance.now() < deadline) await pause(20);
	count.failed += count.inFlight; // never answered
	clearInterval(reports);
	clearInterval(seconds);
	process.send?.({ count: report(), done: true }, () => process.exit(0));
}

/** One HTTP/2 connection with one identity; a new one when Envoy asks for it (GOAWAY). */
class Line {
	#session: ClientHttp2Session | null = null;

	constructor(
		readonly orders: CrowdOrders,
		readonly identity: Identity,
	) {}

	session(): ClientHttp2Session {
		if (this.#session !== null && !this.#session.closed && !this.#session.destroyed) return this.#session;
		const session = connect(`https://127.0.0.1:${this.orders.gatewayPort}`, {
			...clientTls(this.identity, (id) => id === this.orders.envoyId),
			ALPNProtocols: ["h2"],
		});
		session.on("error", () => {}); // every stream on it has its own error
		session.once("goaway", () => {
			if (this.#session === session) this.#session = null;
		});
		session.once("close", () => {
			if (this.#session === session) this.#session = null;
		});
		this.#session = session;
		return session;
	}

	/** @returns status, the arm header and the body; status 0 = no answer. */
	ask(
		headers: Record<string, string>,
		body: string,
	): Promise<{ status: number; arm: string; body: string; why: string }> {
		return new Promise((resolve) => {
			const stream = this.session().request({ ":method": "POST", "content-type": "application/json", ...headers });
			let status = 0;
			let arm = "";
			let text = "";
			let why = "";
			stream.setTimeout(REQUEST_TIMEOUT_MS, () => {
				why = "timeout";
				stream.close();
			});
			stream.once("response", (response) => {
				status = Number(response[":status"]);
				arm = String(response["x-weir-arm"] ?? "");
			});
			stream.setEncoding("utf8").on("data", (chunk: string) => {
				text += chunk;
			});
			stream.once("error", (error) => {
				why = error.message;
			});
			stream.once("close", () => {
				const whole = why === "" && stream.rstCode === 0;
				resolve({ status: whole ? status : 0, arm, body: text, why: why === "" ? `status ${status}` : why });
			});
			stream.end(body);
		});
	}
}

/** People of one Service, arriving evenly at half the request rate, since each asks twice on average. */
class ServiceLoad {
	readonly #lines: readonly Line[];
	readonly #arms = new Map<string, string>();
	#due = 0;
	#arrived = 0;

	constructor(
		readonly orders: CrowdOrders,
		readonly app: Identity,
		readonly service: DemoService,
		readonly outcomes: OutcomePoster,
	) {
		this.#lines = [new Line(orders, app), new Line(orders, app)];
	}

	/** @param ms that have passed for those who are meant to come */
	arrive(ms: number): void {
		this.#due += (ms / 1_000) * (this.service.requestsPerSecond / 2);
		for (; this.#arrived < Math.floor(this.#due); this.#arrived++) {
			if (count.inFlight < IN_FLIGHT_MAX) void this.#visit(this.#arrived);
			else count.stayedAway++;
		}
	}

	async #visit(number: number): Promise<void> {
		const person = people[(number * 7 + this.service.service.length) % people.length] as Person;
		const id = `${this.service.service}-person-${number}`;
		const times = 1 + (number % 3);
		for (let asked = 0; asked < times; asked++) {
			if (asked > 0) await pause(RETURN_MS[0] + Math.random() * (RETURN_MS[1] - RETURN_MS[0]));
			await this.#ask(id, person, asked);
		}
		this.#arms.delete(id);
	}

	async #ask(id: string, person: Person, asked: number): Promise<void> {
		count.requests++;
		count.inFlight++;
		const sentAt = performance.now();
		const line = this.#lines[(count.requests + asked) % this.#lines.length] as Line;
		const answer = await line.ask(
			{ ":path": "/v2/models/employment/infer", ":authority": hostOf(this.service.service), "x-user-id": id },
			JSON.stringify({
				inputs: [{ name: "features", shape: [1, person.features.length], datatype: "FP32", data: person.features }],
			}),
		);
		count.inFlight--;
		const latencyMs = performance.now() - sentAt;
		if (answer.status < 200 || answer.status > 299) {
			count.failed++;
			count.firstFailure ??= `${this.service.service}: ${answer.why}`;
			latencies.push(latencyMs);
			return;
		}
		const { model_version: version, outputs } = JSON.parse(answer.body) as {
			model_version: string;
			outputs: { name: string; data: number[] }[];
		};
		if (version === "v1") latencies.push(latencyMs);
		this.#checkArm(id, answer.arm, version);
		const label = outputs.find(({ name }) => name === "label")?.data[0];
		await pause(LABEL_DELAY_MS);
		this.outcomes.add({ metric: "accuracy", unit: id, value: label === person.employed ? 1 : 0 });
	}

	/** The arm's Variant answers, and a person once in an arm is never seen in another one. */
	#checkArm(id: string, header: string, version: string): void {
		const arm = header === "" ? "" : header.slice(header.indexOf("/") + 1);
		const variant = arm === "challenger" ? "v2" : arm === "control" ? "v1" : null;
		if (variant !== null && variant !== version) count.assignmentMismatches++;
		const before = this.#arms.get(id);
		// A takeover moves people to the winner; that is the promotion, not a change of arm.
		if (before === "challenger" && arm === "control") count.assignmentMismatches++;
		if (arm !== "" && arm !== "-") this.#arms.set(id, arm);
	}
}

/** A request of a client without rights. */
async function askWithoutRights(line: Line, { services }: CrowdOrders): Promise<void> {
	const [first] = services;
	if (first === undefined) return;
	const answer = await line.ask(
		{ ":path": "/v2/models/employment/infer", ":authority": hostOf(first.service), "x-user-id": "outsider" },
		"{}",
	);
	if (answer.status === 403) count.denied++;
	else count.notDenied++;
}

/** Labels go out in batches; each batch has an idempotency key, so that a retry is safe. */
class OutcomePoster {
	#rows: object[] = [];
	#sending = false;
	#batch = 0;

	readonly #agent: Agent;

	constructor(
		readonly orders: CrowdOrders,
		readonly labels: Identity,
	) {
		this.#agent = mutualAgent(labels, (id) => id === orders.controlId);
		setInterval(() => void this.#flush(), 100).unref();
	}

	get idle(): boolean {
		return this.#rows.length === 0 && !this.#sending;
	}

	add(row: object): void {
		this.#rows.push({ ...row, time: new Date().toISOString() });
	}

	async #flush(): Promise<void> {
		if (this.#sending || this.#rows.length === 0) return;
		this.#sending = true;
		const rows = this.#rows;
		this.#rows = [];
		const key = `demo-${process.pid}-${this.#batch++}`;
		const body = rows.map((row) => JSON.stringify(row)).join("\n");
		for (let attempt = 0; attempt < 5; attempt++) {
			try {
				const response = await this.#post(key, body);
				if (response.status < 500) {
					const answer = JSON.parse(response.text) as { accepted?: number; refused?: unknown[] };
					count.outcomesPosted += answer.accepted ?? 0;
					count.outcomesRefused += answer.refused?.length ?? rows.length;
					break;
				}
			} catch {
				// tried again below
			}
			await pause(200 * (attempt + 1));
		}
		this.#sending = false;
	}

	#post(key: string, body: string): Promise<{ readonly status: number; readonly text: string }> {
		return new Promise((resolve, reject) => {
			const headers = { "content-type": "application/x-ndjson", "idempotency-key": key };
			request(
				`${this.orders.api}/v1/outcomes`,
				{ method: "POST", headers, agent: this.#agent, timeout: REQUEST_TIMEOUT_MS },
				(response) => {
					let text = "";
					response.setEncoding("utf8").on("data", (chunk: string) => {
						text += chunk;
					});
					response.once("error", reject);
					response.once("end", () => resolve({ status: response.statusCode ?? 0, text }));
				},
			)
				.once("timeout", function (this: { destroy(error: Error): void }) {
					this.destroy(new Error("timeout"));
				})
				.once("error", reject)
				.end(body);
		});
	}
}
