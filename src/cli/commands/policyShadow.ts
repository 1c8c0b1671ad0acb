/** `weir policy shadow`: verdicts that shadow policies would have changed, and gaps in that result. */
import { gapMessage, type ShadowGap } from "../../compile/access/shadow.js";
import { namedIn } from "../../declare/resources/reference.js";
import { type AccessPolicy, qualifiedName, qualifiedText, type Resource } from "../../declare/resources/resource.js";
import type { ShadowAnswer } from "../../observe/events/query/accessRecordQuery.js";
import { type ApiArguments, clientOf } from "./apiAccess.js";
import { askRequests, timeOf } from "./audit.js";
import { printDropped } from "./droppedRecords.js";
import { ofAll } from "./ofAll.js";
import { oneLine } from "./oneLine.js";

const print = (line: string): void => void process.stdout.write(`${oneLine(line)}\n`);

export interface PolicyShadowArguments extends ApiArguments {
	readonly service?: string;
	readonly policy?: string;
	/** RFC 3339 date-time. */
	readonly since?: string;
	readonly allRules?: boolean;
	readonly json?: boolean;
}

/**
 * Verdicts that the declared shadow policies would have changed. It counts requests under the current rules of their
 * Service, or with --all-rules all requests in the log.
 */
export async function policyShadow(options: PolicyShadowArguments): Promise<void> {
	const { since, allRules = false } = options;
	const service = options.service === undefined ? undefined : qualifiedText(options.service);
	const policy = options.policy === undefined ? undefined : qualifiedText(options.policy);
	const sinceMs = since === undefined ? null : timeOf(since);
	const client = clientOf(options);
	const { resources, partial } = await client.get();
	const tried = resources.filter(
		(one) => one.kind === "AccessPolicy" && one.spec.mode === "shadow",
	) as readonly AccessPolicy[];
	const asked = tried.filter(({ metadata }) => (policy ?? qualifiedName(metadata)) === qualifiedName(metadata));
	const counted =
		asked.length === 0
			? { changes: [], cut: false }
			: ((await askRequests(client, {
					view: "shadow",
					limit: "1000",
					among: asked.map(({ metadata }) => qualifiedName(metadata)).join(","),
					...(service === undefined ? {} : { service }),
					...(allRules ? { rules: "all" } : {}),
					...(sinceMs === null ? {} : { since: String(sinceMs) }),
				})) as ShadowAnswer);
	const gaps = (await client.shadowGaps()).filter((gap) => isAskedFor(gap, { service, policy }));
	const noAccess = partial === true ? hiddenServices(resources, tried).filter((one) => (service ?? one) === one) : [];
	const answer: ShadowAnswer = { ...counted, changes: counted.changes.filter((change) => stillTried(change, asked)) };
	printDropped("counts", counted.dropped);
	if (options.json === true) {
		process.stdout.write(`${JSON.stringify({ ...answer, gaps, noAccess }, null, 2)}\n`);
		return;
	}
	for (const gap of gaps) print(`NOT CHECKED  ${gapMessage(gap)}`);
	for (const name of noAccess)
		print(`NO ACCESS    Service ${name}: you may not read its namespace, so its changed verdicts are not shown`);
	for (const changed of answer.changes) {
		const { change, count, service, principal, method, path, rules, inForce, lastMs } = changed;
		print(
			[
				change === "would-deny" ? "WOULD DENY " : "WOULD ALLOW",
				`${count} ×`,
				service ?? "-",
				principal ?? (path === null ? "many callers" : "no principal"),
				path === null ? "many paths" : `${method ?? "?"} ${path}`,
				whyWords(changed),
				`last ${new Date(lastMs).toISOString()}`,
				...(inForce ? [] : [`under earlier rules ${rules ?? "(not known)"}`]),
			].join("  "),
		);
	}
	if (answer.changes.length === 0) {
		const without = gaps.length + noAccess.length === 0 ? "" : "; the lines above are not included";
		print(
			asked.length === 0
				? `no policy ${policy === undefined || tried.length === 0 ? "that is declared now" : policy} is in shadow mode${ofAll(partial)}`
				: `the shadow policies have changed no verdict so far${ofAll(partial)}${allRules ? "" : " under the current rules (earlier ones: --all-rules)"}${without}`,
		);
	}
	if (answer.cut) print("and more kinds of requests: ask for one --service or --policy");
}

const WHY: Readonly<Record<string, string>> = {
	"no-policy-allows": "no policy would allow",
	"invalid-token": "its token would be refused (invalid-token)",
	"verification-limited": "its token would be refused (verification-limited)",
	"not-canonical": "it would be refused whatever the policies allow (not-canonical)",
	"no-single-identity": "its certificate would be refused (no-single-identity)",
	"upgrade-refused": "a protected Service takes no WebSocket (upgrade-refused)",
};

function whyWords({ policy, reason }: ShadowAnswer["changes"][number]): string {
	if (policy !== null) return `by policy ${policy}`;
	return reason === null ? "no reason is recorded" : (WHY[reason] ?? `as ${reason}`);
}

/** Services that the policies select by name and the caller may not read: their counts are not in the answer. */
function hiddenServices(resources: readonly Resource[], tried: readonly AccessPolicy[]): readonly string[] {
	const seen = new Set(resources.flatMap((one) => (one.kind === "Service" ? [qualifiedName(one.metadata)] : [])));
	const named = tried.flatMap(({ metadata, spec }) =>
		spec.services.flatMap((name) => (name === "*" ? [] : [qualifiedName(namedIn(metadata.namespace, name))])),
	);
	return [...new Set(named)].filter((name) => !seen.has(name));
}

/** The filters of the command. */
interface Asked {
	readonly service: string | undefined;
	readonly policy: string | undefined;
}

function isAskedFor(gap: ShadowGap, { service, policy }: Asked): boolean {
	if (service !== undefined && service !== gap.service) return false;
	return policy === undefined || [...gap.untried.map(({ name }) => name), ...gap.tried].includes(policy);
}

/** Whether the policy still is in shadow mode; without a policy, whether any shadow policy covers the Service. */
function stillTried({ policy, service }: ShadowAnswer["changes"][number], tried: readonly AccessPolicy[]): boolean {
	if (policy !== null) return tried.some(({ metadata }) => qualifiedName(metadata) === policy);
	return tried.some(({ metadata, spec }) =>
		spec.services.some((name) =>
			name === "*"
				? qualifiedName({ ...metadata, name: "" }) === (service ?? "").replace(/[^/]*$/, "")
				: qualifiedName(namedIn(metadata.namespace, name)) === service,
		),
	);
}
