/** The access record log by namespace: readers see only records of their own namespaces, whatever headers they send. */
import { once } from "node:events";
import { type IncomingMessage, request as plainRequest } from "node:http";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import t from "tap";
import { decisionLogMounts } from "../../../src/cli/roles/api.js";
import { forwardTo } from "../../../src/cli/roles/forward.js";
import type { AccessRecordsAnswer, ShadowAnswer } from "../../../src/observe/events/query/accessRecordQuery.js";
import { type Entry, startRig, tryingOut } from "../../observe/events/rig.js";
import { file } from "../../operate/employment.js";
import { policyText, RULES_GATEWAY, serviceText } from "../../operate/guarded.js";
import { mutualApi, operator } from "../../operate/mutualApi.js";
import { binding } from "../../operate/operatorBinding.js";
import { fileOf, temporaryDirectory } from "../command.js";
import { operatorCommand } from "../operatorCommand.js";

t.setTimeout(120_000);

const SERVICES = ["shop", "team/shop", "team2/shop", "team/till"];
const ROUNDS = 5;
const denied = (service: string, round: number): Entry => ({
	kind: "end",
	unit: null,
	requestId: `${service}-${round}`,
	routeName: `weir|p1|${service}|-`,
	startMs: 990_000 + round,
	principal: "spiffe://a.test/web",
	status: 403,
	codeDetails: "rbac_access_denied_matched_policy[none]",
	path: "/v2",
});
const tried = (service: string): Entry => ({
	kind: "end",
	unit: null,
	requestId: `tried-${service}`,
	routeName: `weir|p1|${service}|-`,
	startMs: 999_000,
	namespace: "envoy.filters.http.rbac",
	metadata: { weir_deny_shadow_engine_result: "denied", weir_deny_shadow_effective_policy_id: "try" },
});

async function started(t: Parameters<typeof mutualApi>[0]) {
	const rig = await startRig(tryingOut());
	t.teardown(() => rig.close());
	for (let round = 0; round < ROUNDS; round++) await rig.send(SERVICES.map((service) => denied(service, round)));
	await rig.send(SERVICES.map(tried));
	// A record that names no Service.
	await rig.post([{ metric: "accuracy", unit: "u", value: 1 }], {
		"x-weir-caller": encodeURIComponent("spiffe://a.test/x"),
	});
	const made = await mutualApi(t, { mounts: decisionLogMounts(forwardTo(rig.httpSocket, "ingest")) });
	const bindings = [
		binding("mia", "read", ["mia"], "[default]"),
		binding("tom", "apply", ["tom"], "[team]"),
		binding("tom-too", "read", ["tom"], "[default, team]"),
		binding("root", "read", ["root"], "['*']"),
	];
	await made.owner.apply(file(bindings.join("---\n")), { dryRun: false });
	return { rig, ...made };
}

t.test("each reader pages through the records of their own Services only", async (t) => {
	const { as, owner } = await started(t);
	const page = async (name: string, query: string) => {
		const { status, json } = await (await as(name)).raw("GET", `/v1/requests?${query}`);
		t.equal(status, 200, `${name} ${query}`);
		return json as AccessRecordsAnswer;
	};
	const seen = async (name: string) => {
		const all: (string | null)[] = [];
		for (let before: number | null = Number.MAX_SAFE_INTEGER; before !== null; ) {
			const { decisions, next, partial } = await page(name, `limit=3&before=${before}`);
			t.equal(partial, name === "root" ? undefined : true);
			if (next !== null) t.equal(decisions.length, 3, "a page is full before filtering could empty it");
			all.push(...decisions.map(({ service }) => service));
			before = next;
		}
		return all;
	};
	const times = (...services: readonly string[]) => services.flatMap((one) => Array<string>(ROUNDS).fill(one)).sort();
	t.same((await seen("mia")).sort(), times("shop"));
	t.same((await seen("tom")).sort(), times("shop", "team/shop", "team/till"));
	const whole = await seen("root");
	t.same(whole.filter((one) => one !== null).sort(), times(...SERVICES));
	t.ok(whole.includes(null), "records without a Service need read access to all namespaces");
	t.same((await page("mia", "service=team/shop")).decisions, []);
	t.same((await page("mia", "kind=outcome-refused")).decisions, []);
	t.same((await page("mia", `requestId=${encodeURIComponent("team/shop-1")}`)).decisions, []);

	const shadows = async (name: string) =>
		((await page(name, "view=shadow&rules=all")) as unknown as ShadowAnswer).changes
			.map(({ service }) => service)
			.sort();
	t.same(await shadows("mia"), ["shop"]);
	t.same(await shadows("tom"), ["shop", "team/shop", "team/till"]);
	t.same(await shadows("root"), [...SERVICES].sort());

	const mia = await as("mia");
	t.match(await mia.raw("GET", "/v1/requests?namespaces=team"), { status: 400 });
	t.match(await mia.raw("GET", "/v1/requests/shop-1"), { status: 403, json: { error: { hint: /shows all of them/ } } });
	t.match(await mia.raw("GET", "/v1/requests/"), { status: 403 });
	t.match(await (await as("eve")).raw("GET", "/v1/requests"), {
		status: 403,
		json: { error: { message: /at least one namespace/ } },
	});
	await owner.delete("RoleBinding", "mia", { dryRun: false });
	t.match(await mia.raw("GET", "/v1/requests"), { status: 403 }, "by the bindings of now");
});

t.test("a client cannot choose its namespaces, and a query without a caller is refused", async (t) => {
	const { rig, api, ca } = await started(t);
	const own = await ca.issue({ spiffeId: operator("mia") });
	const shown = {
		ca: ca.certificate,
		cert: own.certificate,
		key: own.privateKey,
		checkServerIdentity: () => undefined,
	};
	for (const words of ["*", "team", ["*", "team"]]) {
		const headers = { "x-weir-namespaces": words, "X-Weir-Caller": "local%3Aowner" };
		const sent = request(new URL("/v1/requests", api.url), { ...shown, agent: false, headers }).end();
		const [answer] = (await once(sent, "response")) as [IncomingMessage];
		const { decisions } = JSON.parse(await text(answer)) as AccessRecordsAnswer;
		t.same(new Set(decisions.map(({ service }) => service)), new Set(["shop"]), String(words));
	}
	const onSocket = async (words?: string | string[]): Promise<number> => {
		const headers = {
			"x-weir-caller": "local%3Aowner",
			...(words === undefined ? {} : { "x-weir-namespaces": words }),
		};
		const sent = plainRequest({ socketPath: rig.httpSocket, path: "/v1/requests", agent: false, headers }).end();
		const [answer] = (await once(sent, "response")) as [IncomingMessage];
		answer.resume();
		return answer.statusCode ?? 0;
	};
	t.equal(await onSocket(), 403, "without the header, also for the owner");
	for (const words of [
		"",
		",",
		"default,",
		"*,default",
		"default, team",
		"Default",
		"de%66ault",
		["*", "*"],
		["*", "a"],
	]) {
		t.equal(await onSocket(words), 403, JSON.stringify(words));
	}
	t.equal(await onSocket("*"), 200);
	t.equal(await onSocket(["default,team"]), 200);
	const many = Array.from({ length: 8_000 }, (_, n) => `n${n}`.padEnd(63, "x"));
	t.equal(await onSocket(many.join(",")), 200, "of as many namespaces as a reader may have roles in");
});

t.test(
	"audit requests, policy diff --recent and policy shadow show a reader of one namespace only that namespace",
	async (t) => {
		const made = await started(t);
		const commands = await operatorCommand(t, made);
		const mia = await commands.as("mia");
		const { code, out } = await mia("audit", "requests");
		t.equal(code, 0);
		t.equal(out.trimEnd().split("\n").length, ROUNDS);
		t.notMatch(out, /team/);
		t.match(await mia("audit", "requests", "--kind", "outcome-refused"), {
			code: 0,
			out: "",
			stderr: "weir: no such record that you may read\n",
		});
		const directory = await temporaryDirectory(t);
		const rules = [RULES_GATEWAY, serviceText("shop"), policyText("web", "shop")].join("---\n");
		const before = await fileOf(directory, "old.yaml", rules);
		const same = await mia("policy", "diff", before, before, "--recent");
		t.match(same.out, /^0 newly allowed, 0 newly denied of \d+ requests compared \(5 of the log that you may read\)$/m);
		t.match(await mia("policy", "shadow"), {
			code: 0,
			out: "no policy that is declared now is in shadow mode that you may read\n",
		});
		t.match(
			(await mia("proxy-status")).stderr,
			/read in all namespaces \('\*'\); it shows all namespaces together, and the RoleBinding/,
		);
	},
);
