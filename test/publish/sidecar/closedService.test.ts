/** A Service that a sidecar cannot execute is closed alone: other Services keep their rules, and control gets a report. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { contentHash } from "../../../src/compile/assignment/hash.js";
import type { PlanTable, ServiceTable } from "../../../src/compile/plan/compiledPlan.js";
import { closuresOf, closureText } from "../../../src/decide/rollout/closedServices.js";
import { refusalsOf } from "../../../src/decide/rollout/refusal.js";
import { TABLE_ERROR_CHARS_MAX } from "../../../src/limits/index.js";
import { answer } from "../../../src/publish/sidecar/answer.js";
import { checkResponse } from "../../../src/publish/sidecar/checkResponse.js";
import { type CompiledTable, compileTable } from "../../../src/publish/sidecar/compiledTable.js";
import { readTableFile } from "../../../src/publish/sidecar/staticTable.js";
import { TableFile } from "../../../src/publish/sidecar/tableFile.js";
import { readTable } from "../../../src/publish/sidecar/tableReader.js";
import { TABLE_CLOSED_REASONS_MAX } from "../../../src/publish/sidecar/tableStream.js";
import { Tables } from "../../../src/publish/sidecar/tables.js";
import { withClosures } from "../../../src/publish/xds/sidecarClosures.js";
import { AdsClient, closedServices } from "../xds/adsClient.js";
import { acknowledged, folderOf, plan, reported, startFeed, startServer } from "./feedScene.js";
import { NOBODY_ASKED, question } from "./question.js";
import { LogLines, SERVICE } from "./sampleTable.js";

const SHORT =
	"Service s answers 503 at n and 2 more since 1970-01-01T00:00:00.000Z, which refuses its newest configuration";
const OPEN = { open: true, policies: [] };
const WEB = "spiffe://example.com/web";
const named = (name: string, change: object = {}): ServiceTable => ({
	...{ ...SERVICE, name, hosts: [`${name.replace("/", ".")}.test`], experiments: [] },
	...change,
});
/** Like a table from a newer control with features unknown to this sidecar. */
const newer = (name: string, change: object = {}): ServiceTable =>
	named(name, { access: { open: true, policies: [], quota: 1 }, ...change });

function read(...services: readonly ServiceTable[]) {
	const json = JSON.stringify({ gateways: [], services });
	return readTable(contentHash(json), json);
}

/** The answer by these tables, the newest last. */
function ask(tables: readonly ReturnType<typeof read>[], asked: Partial<Parameters<typeof question>[0]>) {
	const held = new Tables<CompiledTable>({ compile: compileTable });
	for (const table of tables) held.put(table);
	held.confirm();
	const knowledge = { tables: held, freshness: held, mint: () => "minted", ...NOBODY_ASKED };
	return answer(knowledge, question({ principal: WEB, method: "GET", path: "/v2", ...asked }));
}

t.test("a closed Service denies every request, by name and by host; the others answer as before", async (t) => {
	const table = read(named("team-a/shop"), newer("team-b/odd"), named("all", { hosts: ["*.test"], access: OPEN }));
	t.match(table.closed, [
		{
			name: "team-b/odd",
			hosts: ["team-b.odd.test"],
			why: 'Service team-b/odd, access: has the unknown field "quota"',
		},
	]);
	t.same(
		table.table.services.map(({ name }) => name),
		["team-a/shop", "all"],
	);
	t.match(ask([table], { service: "team-a/shop" }).ruling, { verdict: "allow", policy: "callers" });
	const closed = { verdict: "deny", reason: "configuration-refused", service: "team-b/odd", policy: null };
	for (const asked of [
		{ service: "team-b/odd" },
		{ service: "team-b/odd", plan: table.version },
		{ service: "team-b/odd", plan: table.version, assigned: { experiment: null, arm: null, variant: "v2" } },
		{ service: null, plan: null, host: "team-b.odd.test" },
	]) {
		t.match(ask([table], asked).ruling, closed, JSON.stringify(asked));
	}
	t.match(ask([table], { service: null, host: "x.test" }).ruling, { verdict: "allow", service: "all" });
});

t.test("a closed Service is closed for the routes of an older plan too, which could be executed", async (t) => {
	const before = read(named("odd", { access: OPEN }), named("shop"));
	const now = read(newer("odd"), named("shop"));
	t.match(ask([before], { service: "odd", plan: before.version }).ruling, { verdict: "allow" });
	const { ruling } = ask([before, now], { service: "odd", plan: before.version });
	t.match(ruling, { verdict: "deny", reason: "configuration-refused" });
	const after = read(named("odd"), named("shop"));
	t.match(ask([before, now, after], { service: "odd" }).ruling, { verdict: "allow" });
	// Two later tables shrink this one; it answers as before from its rest.
	const later = [read(named("shop")), read(named("shop"), named("other"))];
	await new Promise((resolve) => setImmediate(resolve));
	t.match(ask([now, ...later], { service: "odd", plan: now.version }).ruling, { verdict: "deny" });
});

t.test("a client gets 503 and the reason, without the error message", async (t) => {
	const answer = checkResponse(ask([read(newer("odd"), named("shop"))], { service: "odd" }), { weirHeaders: [] });
	t.ok(Buffer.isBuffer(answer));
	const text = (answer as Buffer).toString("latin1");
	t.match(text, "access denied: configuration-refused\n");
	t.notMatch(text, "quota");
	// HttpStatus{code: 503}
	t.ok((answer as Buffer).includes(Buffer.from([0x08, 0xf7, 0x03])));
});

t.test("an error that names no Service, or closes all of them, rejects the whole table", async (t) => {
	const refused: [readonly object[], RegExp][] = [
		[[named("shop"), newer("odd", { name: "" })], /^Service , name: is empty/],
		[[named("shop"), newer("odd", { hosts: "odd.test" })], /^Service odd, hosts: is a string, not a list$/],
		[[named("shop"), newer("odd", { defaultVariant: 1 })], /^Service odd, defaultVariant: /],
		[[named("shop"), newer("shop")], /^Service shop: is there twice$/],
		[[named("shop"), null as unknown as object], /^services\[1\]: is null/],
		[[newer("odd"), newer("even")], /^Service odd, access: has the unknown field "quota"$/],
	];
	for (const [services, message] of refused)
		t.throws(() => read(...(services as ServiceTable[])), { code: "invalid-argument", message });
	const json = JSON.stringify({ gateways: [{ name: "edge" }], services: [named("shop")] });
	t.throws(() => readTable(contentHash(json), json), { message: /^Gateway edge: / });
});

t.test("control gets the Service, the sidecar and the time; the table and its fix count as accepted", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	const server = await startServer(t, socketPath);
	const acks: (readonly string[])[] = [];
	server.onAcknowledged((_, __, closed) => acks.push(closed));
	const { tables, log, feed } = startFeed(t, socketPath);
	const publish = async (revision: number, ...services: readonly ServiceTable[]) => {
		const done = acknowledged(server, revision);
		server.publish(plan({ gateways: [], services }), revision);
		await done;
	};
	await publish(1, named("a/shop"), newer("b/odd"), newer("c/odd"));
	t.same(acks, [["b/odd", "c/odd"]]);
	const closed = closuresOf(server.proxies());
	t.match(closed, [
		{ service: "b/odd", why: 'Service b/odd, access: has the unknown field "quota"', sinceMs: Number },
		{ service: "c/odd", why: /^Service c\/odd, / },
	]);
	t.same(refusalsOf(server.proxies()), [], "nothing is held up");
	t.equal(server.proxies()[0]?.types.tables?.state, "SYNCED");
	t.ok(tables.confirmed);
	t.equal(feed.rejected, 0);
	t.match(log.lines.at(-1), /^Services of it cannot be executed.*"services":2/);

	await publish(2, named("a/shop"), newer("b/odd", { timeoutMs: 2 }), named("c/odd"));
	t.match(closuresOf(server.proxies()), [{ service: "b/odd", sinceMs: closed[0]?.sinceMs }]);
	await publish(3, named("a/shop"), named("b/odd"));
	t.same(closuresOf(server.proxies()), []);
	t.same(acks.slice(1), [["b/odd"], []]);

	const many = Array.from({ length: TABLE_CLOSED_REASONS_MAX + 20 }, (_, index) =>
		newer(`b/odd-${index}`, { ["x".repeat(index === 0 ? 1_000 : 1)]: 1 }),
	);
	await publish(4, named("a/shop"), ...many);
	t.match(log.lines.at(-1), `"services":${many.length}`);
	const closures = closuresOf(server.proxies());
	t.same(closures.map(({ service }) => service).sort(), many.map(({ name }) => name).sort(), "all are reported");
	t.same(acks.at(-1)?.length, many.length, "and no decision is acknowledged for them");
	t.equal(closures.filter(({ why }) => why !== "").length, TABLE_CLOSED_REASONS_MAX, "only the first have a message");
	t.ok(closures.every(({ why }) => why.length <= TABLE_ERROR_CHARS_MAX));
	t.equal(closureText({ ...closures[0], node: "n", service: "s", why: "", sinceMs: 0, others: 2 }), SHORT);
});

t.test("a rejected table keeps closed Services closed; Services without the sidecar are not closed", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	const server = await startServer(t, socketPath);
	startFeed(t, socketPath);
	const first = acknowledged(server, 1);
	const native = newer("b/native", { callout: null });
	server.publish(plan({ gateways: [], services: [named("a/shop"), newer("b/odd"), native] }), 1);
	await first;
	const closed = () => closuresOf(server.proxies()).map(({ service }) => service);
	t.same(closed(), ["b/odd"]);
	const rejected = reported(server, "ERROR");
	const gateways = [{ name: "edge" }] as unknown as PlanTable["gateways"];
	server.publish(plan({ gateways, services: [named("a/shop"), named("b/odd")] }), 2);
	await rejected;
	t.same(closed(), ["b/odd"], "it continues with the previous table");
});

t.test("a Service closed by many sidecars is reported once, with their number", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	const server = await startServer(t, socketPath);
	for (let index = 0; index < 5; index++) startFeed(t, socketPath);
	await new Promise<void>((resolve) => {
		const stop = server.onProxiesChanged(() => {
			if (server.proxies().length < 5) return;
			stop();
			resolve();
		});
	});
	const done = acknowledged(server, 1);
	server.publish(plan({ gateways: [], services: [named("a/shop"), newer("b/odd"), newer("c/odd")] }), 1);
	await done;
	t.match(closuresOf(server.proxies()), [
		{ service: "b/odd", others: 4 },
		{ service: "c/odd", others: 4 },
	]);
	const one = { node: "n", service: "s", why: "no", sinceMs: 0 };
	t.match(closureText(one), /^Service s answers 503 at n since 1970-01-01T00:00:00.000Z, which refuses .*: no$/);
	// A Service has the message of a sidecar that closed it, and that of an Envoy of the same client.
	const status = { node: "both", connectedAtMs: 0, types: {}, closed: [{ ...one, form: "f", service: "d/x" }] };
	const closedBySidecar = new Map([["b/odd", { ...one, service: "b/odd", form: "" }]]);
	t.match(withClosures([{ status: () => status, closedBySidecar }]), [
		{ closed: [{ service: "d/x" }, { service: "b/odd" }] },
	]);
});

t.test("xds accepts only names that it published, from clients that may get tables", async (t) => {
	const socketPath = join(await folderOf(t), "ads.sock");
	const server = await startServer(t, socketPath);
	const client = new AdsClient(`unix:${socketPath}`);
	t.teardown(() => client.close());
	server.publish(plan({ gateways: [], services: [named("a/shop")] }), 1);
	client.ask("tables", ["plan"], undefined, { node: "weir-sidecar/liar" });
	const response = await client.next();
	const done = acknowledged(server, 1);
	const services = [
		{ name: "other/secret", why: "words for another" },
		{ name: "a/shop", why: "w".repeat(TABLE_ERROR_CHARS_MAX + 1) },
	];
	client.ask("tables", ["plan"], response, { details: [closedServices({ services })] });
	await done;
	t.match(server.proxies()[0]?.closed, [{ service: "a/shop", why: "w".repeat(TABLE_ERROR_CHARS_MAX) }]);
	t.equal(server.proxies()[0]?.closed?.length, 1);
	t.equal(server.proxies()[0]?.closed?.[0]?.why.length, TABLE_ERROR_CHARS_MAX);
});

t.test("a closed Service stays closed when restored from disk; an operator's file is refused", async (t) => {
	const folder = await folderOf(t);
	const table = read(named("shop"), newer("odd"));
	const tables = new Tables<CompiledTable>({ compile: compileTable });
	const file = new TableFile(join(folder, "table.json"), { log: new LogLines() });
	const stop = file.follow(tables);
	tables.put(table);
	tables.confirm();
	await stop();
	t.same((await file.load())?.given, table);
	const path = join(folder, "given.json");
	const services = [named("shop"), newer("odd")];
	await writeFile(path, JSON.stringify({ version: table.version, table: { gateways: [], services } }));
	await t.rejects(readTableFile(path), {
		code: "invalid-argument",
		message: /is refused: Service odd, access: has the /,
	});
});
