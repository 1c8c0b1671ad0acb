/** `weir policy test | diff`: what access rules do, before they do it. */
import { otherPrincipal } from "../../compile/access/review/boundaries.js";
import { type JudgedRequest, type PolicyJudge, policyJudge } from "../../compile/access/review/policyCheck.js";
import { type ComparedVerdict, diffPolicies, type PolicyDifference } from "../../compile/access/review/policyDiff.js";
import type { PolicyRequest } from "../../compile/access/review/policyRequest.js";
import { type PolicyTest, readPolicyTests, testFaults } from "../../compile/access/review/policyTable.js";
import { liveDefault } from "../../decide/rollout/status.js";
import type { ResourceSet } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import type { AccessRecordsAnswer, ShownAccessRecord } from "../../observe/events/query/accessRecordQuery.js";
import type { StatusAnswer } from "../../operate/api/wire.js";
import { heldResources, printProblems, readNamed, readResourceFiles } from "../resourceFiles.js";
import { type ApiArguments, clientOf } from "./apiAccess.js";
import { askRequests } from "./audit.js";
import { ofAll } from "./ofAll.js";
import { oneLine } from "./oneLine.js";

const print = (line: string): void => void process.stdout.write(`${oneLine(line)}\n`);

export interface PolicyTestArguments extends ApiArguments {
	readonly file: readonly string[];
	readonly table: readonly string[];
	/** Use control's live default Variants: a promotion changes no declaration. */
	readonly live?: boolean;
}

/** Exit code 1 where a case fails; a table that cannot be read fails as a whole. */
export async function policyTest(options: PolicyTestArguments): Promise<void> {
	if (options.table.length === 0) throw new WeirError("invalid-argument", "no table of cases was given", "add -t FILE");
	const declared = await heldResources(options.file);
	const served = options.live === true ? await clientOf(options).status() : null;
	const judge = policyJudge(served === null ? declared : asServed(declared, served));
	const tables = (await readResourceFiles(options.table)).map(readPolicyTests);
	const problems = tables.flatMap((table) => table.problems);
	const tests = tables.flatMap((table) => table.tests);
	const faults = [...problems, ...testFaults(tests, judge)];
	if (faults.length > 0) {
		printProblems(faults);
		throw new WeirError("failed-precondition", "the table cannot be used");
	}
	if (served !== null) requireReadable(served, tests, judge);
	let failed = 0;
	for (const test of tests) {
		const judged = judge.gatewaysOf(test.request).map((gateway) => ({
			gateway,
			is: judge.judge({ ...test.request, gateway, nowMs: test.request.nowMs ?? 0 }),
		}));
		const wrong = judged.find(({ is }) => !fulfils(is, test.expect));
		if (wrong === undefined) continue;
		failed++;
		const at = test.position === null ? "" : `${test.position.file}:${test.position.line}:${test.position.column}: `;
		const where = judged.length > 1 ? ` at Gateway ${wrong.gateway}; name gateway: where verdicts differ` : "";
		print(`${at}FAIL ${test.name}: expected ${expected(test)}, is ${verdictText(wrong.is)}${where}`);
	}
	print(`${tests.length - failed} passed, ${failed} failed`);
	if (failed > 0) process.exitCode = 1;
}

/** The declared resources with the live default Variants, where the files declare these. */
function asServed(declared: ResourceSet, { services }: Pick<StatusAnswer, "services">): ResourceSet {
	const status = services.map(({ service, liveDefaultVariant }) => [service, { defaultVariant: liveDefaultVariant }]);
	const learned = { services: Object.fromEntries(status) };
	return {
		...declared,
		services: declared.services.map((one) => ({
			...one,
			spec: { ...one.spec, defaultVariant: liveDefault(one, learned) },
		})),
	};
}

/** Control hides Services that the caller may not read, and their declared default may not be the live one. */
function requireReadable(
	{ partial, services }: Pick<StatusAnswer, "partial" | "services">,
	tests: readonly PolicyTest[],
	judge: PolicyJudge,
): void {
	if (partial !== true) return;
	const readable = new Set(services.map(({ service }) => service));
	const asked = new Set(tests.flatMap(({ request }) => judge.serviceOf(request) ?? []));
	const hidden = [...asked].filter((service) => !readable.has(service));
	if (hidden.length === 0) return;
	throw new WeirError(
		"permission-denied",
		`control does not show what it serves for ${hidden.join(", ")}`,
		"ask with an identity that may read there, or leave --live out",
	);
}

function fulfils(is: JudgedRequest, { allowed, reason, policy }: PolicyTest["expect"]): boolean {
	return (
		is.allowed === allowed &&
		(reason === null || is.reason === reason) &&
		(policy === undefined || is.policy === policy)
	);
}

function expected({ expect: { allowed, reason, policy } }: PolicyTest): string {
	const parts = [
		...(reason === null ? [] : [reason]),
		...(policy === undefined ? [] : [policy === null ? "no policy" : `policy ${policy}`]),
	];
	return `${allowed ? "allow" : "deny"}${parts.length === 0 ? "" : ` (${parts.join(", ")})`}`;
}

function verdictText({ allowed, reason, policy }: ComparedVerdict): string {
	return `${allowed ? "allow" : "deny"} (${reason}${policy === null ? "" : ` by policy ${policy}`})`;
}

export interface PolicyDiffArguments extends ApiArguments {
	/** Lines of `weir audit requests --json`. */
	readonly log?: string;
	/** Take control's access record log. */
	readonly recent?: boolean;
	readonly json?: boolean;
}

/** Differences shown of each kind (Service or host, from, to): the rest is counted. */
const EXAMPLES = 3;

/** Exit code 1 where a verdict differs. */
export async function policyDiff(before: string, after: string, options: PolicyDiffArguments): Promise<void> {
	const sets = [await heldResources([before]), await heldResources([after])] as const;
	const recent: AccessRecordsAnswer | { readonly decisions: readonly []; readonly partial?: never } =
		options.recent === true
			? ((await askRequests(clientOf(options), { limit: "1000" })) as AccessRecordsAnswer)
			: { decisions: [] };
	const records = [...(options.log === undefined ? [] : await recordsIn(options.log)), ...recent.decisions];
	const judged = records.filter(({ kind }) => kind === "denied" || kind === "allowed");
	const logged = judged.flatMap(requestOf);
	const withoutMethod = judged.filter(({ service, method }) => typeof service === "string" && method === null).length;
	const diff = diffPolicies(...sets, logged, Date.now());
	if (diff.newlyAllowed + diff.newlyDenied > 0) process.exitCode = 1;
	if (options.json === true) {
		process.stdout.write(`${JSON.stringify({ ...diff, withoutMethod }, null, 2)}\n`);
		return;
	}
	const kindOf = ({ request: { service, host }, before, after }: PolicyDifference): string =>
		`${after.allowed ? "NEWLY ALLOWED" : "NEWLY DENIED"}  ${service ?? `host ${host}`}: ${verdictText(before)} → ${verdictText(after)}`;
	const kinds = new Map<string, PolicyDifference[]>();
	for (const one of diff.differences) kinds.set(kindOf(one), [...(kinds.get(kindOf(one)) ?? []), one]);
	for (const [kind, alike] of kinds) {
		print(kind);
		for (const { request, from } of alike.slice(0, EXAMPLES))
			print(`  ${from === "log" ? "logged: " : ""}${shown(request)}`);
		if (alike.length > EXAMPLES) print(`  and ${alike.length - EXAMPLES} more like it`);
	}
	const ofLog = logged.length - diff.withoutToken - diff.withoutPath;
	print(
		`${diff.newlyAllowed} newly allowed, ${diff.newlyDenied} newly denied of ${diff.compared} requests compared (${ofLog} of the log${ofAll(recent.partial)})`,
	);
	print("these requests are examples, not a proof: the verdict on others may change too");
	if (diff.cut.length > 0) print(`not every combination was tried for ${diff.cut.join(", ")}`);
	if (diff.conditions.length > 0)
		print(`of conditions in CEL only the literal texts were tried: ${diff.conditions.join(", ")}`);
	for (const [count, why] of [
		[diff.withoutToken, "their Service's rules read tokens, which the log does not hold"],
		[diff.withoutPath, "their path is masked or cut in the log"],
		[withoutMethod, "the log does not hold their method"],
	] as const)
		if (count > 0) print(`logged requests left out: ${count}, ${why}`);
}

function shown({ method, path, principal, via = null, token, variant, gateway, region, nowMs }: PolicyRequest): string {
	const parts = [
		`${method} ${path}`,
		principal === null ? "no principal" : (otherPrincipal(principal) ?? principal),
		...(via === null ? [] : [`via ${via}`]),
		...(token === null ? [] : [`token ${JSON.stringify(token)}`]),
		...(variant === null ? [] : [`Variant ${variant}`]),
		...(gateway === null ? [] : [`Gateway ${gateway}`]),
		...(region === null ? [] : [`region ${region}`]),
		new Date(nowMs).toISOString(),
	];
	return parts.join("  ");
}

async function recordsIn(file: string): Promise<readonly ShownAccessRecord[]> {
	const text = await readNamed(file);
	return text.split("\n").flatMap((line, index) => {
		if (line.trim() === "") return [];
		const record = parsed(line);
		if (typeof record === "object" && record !== null && !Array.isArray(record)) return [record as ShownAccessRecord];
		throw new WeirError(
			"invalid-argument",
			`${file}:${index + 1}: not a JSON record`,
			"write lines as weir audit requests --json prints them",
		);
	});
}

/** undefined = it is no JSON. */
function parsed(line: string): unknown {
	try {
		return JSON.parse(line);
	} catch {
		return undefined;
	}
}

function requestOf({
	service,
	gateway,
	principal,
	via = null,
	method,
	path,
	variant,
	atMs,
}: ShownAccessRecord): readonly PolicyRequest[] {
	if (typeof service !== "string" || typeof method !== "string" || typeof path !== "string") return [];
	const who = { principal, via, token: null };
	return [{ service, host: null, gateway, region: null, ...who, method, path, variant, nowMs: atMs }];
}
