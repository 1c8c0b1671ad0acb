/**
 * A rollback of access rules opens nothing that they were never about: what is only about Services that came later stays,
 * denials too, and where the older rules would let more into such a Service it is refused whole.
 */
import { isDeepStrictEqual } from "node:util";
import t from "tap";
import { policyJudge } from "../../src/access/review/policyCheck.js";
import { formatProblem, type Kind, qualifiedName, type ResourceSet } from "../../src/resources/resource.js";
import { Store } from "../../src/state/store/store.js";
import { file, temporaryDirectory } from "./employment.js";
import { RULES_GATEWAY, serviceText } from "./guarded.js";

t.setTimeout(120_000);

const HEAD = "apiVersion: weir.dev/v1alpha1\n";
const policy = (name: string, services: string, rest: string, namespace = "default"): string =>
	`${HEAD}kind: AccessPolicy\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: {services: [${services}], ${rest}}\n`;
const dataClass = (name: string, regions: string): string =>
	`${HEAD}kind: DataClass\nmetadata: {name: ${name}}\nspec: {regions: [${regions}]}\n`;
const GRANT = `${HEAD}kind: ReferenceGrant
metadata: {name: in, namespace: other}
spec: {from: [{kind: AccessPolicy, namespace: security}], to: [{kind: Service}]}
`;
const grant = (to: string): string =>
	`${HEAD}kind: ReferenceGrant\nmetadata: {name: in}\nspec: {from: [{kind: AccessPolicy, namespace: security}], to: [{kind: Service${to}}]}\n`;
const READS = "principals: [anyone], methods: [GET]";
const STAFF = 'principals: ["spiffe://a.example/staff"]';
const HR = policy("payroll-hr", "payroll", 'principals: ["spiffe://a.example/hr"], methods: [GET]');
const NO_EXPORT = policy("payroll-no-export", "payroll", "action: deny, pathPrefixes: [/export]");
const options = { by: "owner", dryRun: false, nowMs: 1, restored: null };

function scene(t: Parameters<typeof temporaryDirectory>[0] & { teardown(end: () => unknown): unknown }) {
	const directory = temporaryDirectory(t);
	let store = new Store(directory);
	t.teardown(() => store.close());
	const apply = (...texts: readonly string[]): number => {
		const result = store.apply(file(texts.join("---\n")), options);
		if (result.outcome !== "applied") throw new Error(result.problems.map(formatProblem).join("\n"));
		return result.revision;
	};
	const remove = (...targets: readonly (readonly [Kind, string])[]): void => {
		const result = store.delete(
			targets.map(([kind, name]) => ({ kind, name })),
			options,
		);
		if (result.outcome !== "applied") throw new Error(result.problems.map(formatProblem).join("\n"));
	};
	/** What is kept, or what it is refused for. */
	const rollback = (to: number, scope: (namespace: string) => boolean = () => true) => {
		const restoration = store.restoration(to, scope);
		const result = store.realise(store.planRestore(restoration, 1), { ...options, restored: to });
		return result.outcome === "applied"
			? { kept: (restoration.kept ?? []).map(({ name }) => name).sort() }
			: { refused: result.problems.map(formatProblem) };
	};
	return {
		apply,
		remove,
		rollback,
		get store() {
			return store;
		},
		policies: () => store.current.resources.accessPolicies.map(({ metadata }) => metadata.name),
		/** As if the file came from a Weir that kept no such record. */
		forget: async (): Promise<void> => {
			store.database.transaction(() => {
				for (const key of [...store.database.arrivals.getKeys()]) store.database.arrivals.removeSync(key);
			});
			await store.close();
			store = new Store(directory);
		},
		restart: async (): Promise<void> => {
			await store.close();
			store = new Store(directory);
		},
	};
}

t.test("older rules for all Services do not open one that came later", async (t) => {
	const made = scene(t);
	const before = made.apply(RULES_GATEWAY, serviceText("catalog"), policy("everyone", '"*"', READS));
	made.apply(policy("everyone", "catalog", READS));
	made.apply(serviceText("payroll"), HR, NO_EXPORT);
	const { revision } = made.store.current;
	await made.restart();
	t.same(made.rollback(before), {
		refused: [
			`revision ${before} AccessPolicy everyone:4:18: Service payroll came after revision ${before}, whose rules would open it: AccessPolicy everyone: it lets in more than the rules of now; declare the denial by an AccessPolicy for Service payroll alone, which a rollback keeps, and roll back then; or apply the older rules by a file, for the Services that they are meant for`,
		],
	});
	t.equal(made.store.current.revision, revision, "nothing was changed");

	made.apply(policy("payroll-shut", "payroll", "action: deny, methods: [GET]"));
	t.same(made.rollback(before), { kept: ["payroll-hr", "payroll-no-export", "payroll-shut"] }, "as the hint says");
	t.same(made.policies(), ["everyone", "payroll-hr", "payroll-no-export", "payroll-shut"]);
	made.apply(policy("everyone", "catalog", READS), policy("payroll-any", "payroll", "principals: [anyone]"));
	made.remove(["AccessPolicy", "payroll-shut"]);
	t.same(
		made.rollback(before),
		{ kept: ["payroll-any", "payroll-hr", "payroll-no-export"] },
		"its own rules let in as much",
	);
});

t.test("what is about older Services too goes, unless a later one loses a denial by it", (t) => {
	const made = scene(t);
	const before = made.apply(RULES_GATEWAY, serviceText("catalog"), policy("readers", "catalog", READS));
	made.apply(serviceText("payroll"), HR, policy("both", "catalog, payroll", "principals: [anyone]"));
	t.same(made.rollback(before), { kept: ["payroll-hr"] }, "an allow");
	made.apply(policy("both", "catalog, payroll", "action: deny, pathPrefixes: [/export]"));
	t.match(made.rollback(before), {
		refused: [/^Service payroll came after revision 1, .*: AccessPolicy both: what it denies is denied no more; /],
	});
	made.apply(NO_EXPORT);
	t.same(made.rollback(before), { kept: ["payroll-hr", "payroll-no-export"] }, "its own denial stays");
	t.same(made.policies(), ["payroll-hr", "payroll-no-export", "readers"]);
	t.end();
});

t.test("an older form of a denial that has since been widened to a later Service", (t) => {
	const made = scene(t);
	const before = made.apply(
		RULES_GATEWAY,
		...[
			serviceText("catalog"),
			policy("readers", '"*"', READS),
			policy("shut", "catalog", "action: deny, methods: [GET]"),
		],
	);
	made.apply(serviceText("payroll"), policy("shut", "catalog, payroll", "action: deny, methods: [GET]"));
	t.match(made.rollback(before), { refused: [/^Service payroll came .*AccessPolicy shut: what it denies/] });
	t.end();
});

t.test("a Service that comes between the question and the rollback", (t) => {
	const made = scene(t);
	const before = made.apply(RULES_GATEWAY, serviceText("catalog"), policy("everyone", '"*"', READS));
	made.apply(policy("everyone", '"*"', STAFF));
	const asked = made.store.restoration(before, () => true);
	t.same(made.store.planRestore(asked, 1).problems, []);
	made.apply(serviceText("payroll"));
	t.match(made.store.planRestore(asked, 1), {
		problems: [{ message: /^Service payroll came after revision 1/ }],
		changes: [],
		upserts: [],
	});
	t.end();
});

t.test("a Service of a former one's name is a later one", (t) => {
	const made = scene(t);
	const before = made.apply(
		RULES_GATEWAY,
		...[
			serviceText("catalog"),
			serviceText("payroll"),
			policy("readers", "catalog", READS),
			policy("old", "payroll", READS),
		],
	);
	made.remove(["Service", "payroll"], ["AccessPolicy", "old"]);
	made.apply(serviceText("payroll"), HR);
	t.match(made.rollback(before), { refused: [/AccessPolicy old:4:18: Service payroll came after/] });
	t.end();
});

t.test("nor one that has since been put under another DataClass", (t) => {
	const made = scene(t);
	const vault = serviceText("vault", "default", "  dataClass: secret\n");
	const before = made.apply(
		RULES_GATEWAY,
		...[dataClass("secret", "eu"), vault, serviceText("catalog"), policy("staff", '"*"', STAFF)],
		policy("auditors", '"*"', `dataClasses: [secret], ${READS}`),
	);
	made.remove(["AccessPolicy", "auditors"]);
	made.apply(serviceText("catalog", "default", "  dataClass: secret\n"));
	t.match(made.rollback(before), {
		refused: [
			/^revision 1 AccessPolicy auditors:4:18: Service catalog or its grant was changed after revision 1, .* more than the rules of now; apply the older rules by a file/,
		],
	});
	made.apply(serviceText("catalog"));
	t.same(made.rollback(before), { kept: [] }, "where the older rules are not about it");
	t.same(made.policies(), ["auditors", "staff"]);
	t.end();
});

t.test("a DataClass as it was does not send a later Service's data further", (t) => {
	const made = scene(t);
	const before = made.apply(
		RULES_GATEWAY,
		...[dataClass("records", "eu, us"), serviceText("catalog", "default", "  dataClass: records\n")],
		policy("readers", "catalog", READS),
	);
	made.apply(dataClass("records", "eu"));
	made.apply(serviceText("payroll", "default", "  dataClass: records\n"), policy("any", "payroll", READS));
	t.same(made.rollback(before), {
		refused: [
			"revision 1 DataClass records:4:17: Service payroll came, or was put under DataClass records, after revision 1, which would let its data go to us; give Service payroll a DataClass of its own; or apply the older rules by a file, without DataClass records",
		],
	});
	made.apply(dataClass("own", "eu"), serviceText("payroll", "default", "  dataClass: own\n"));
	t.same(made.rollback(before), { kept: ["any", "own"] });
	t.same(
		made.store.current.resources.dataClasses.map(({ metadata, spec }) => `${metadata.name}: ${spec.regions.join()}`),
		["own: eu", "records: eu,us"],
	);
	t.end();
});

t.test("a name of another namespace that no grant carried then opens nothing by a grant of now", (t) => {
	const made = scene(t);
	const central = policy("central", "other/cart", READS, "security");
	made.apply(
		RULES_GATEWAY,
		serviceText("cart", "other"),
		policy("own", "cart", 'principals: ["spiffe://a.example/staff"]', "other"),
		GRANT,
		central,
	);
	made.remove(["ReferenceGrant", "other/in"]);
	const severed = made.store.current.revision;
	made.remove(["AccessPolicy", "security/central"]);
	made.apply(GRANT);
	t.match(
		made.rollback(severed, (namespace) => namespace === "security"),
		{
			refused: [/AccessPolicy security\/central:.*Service other\/cart or its grant was changed after/],
		},
	);
	made.apply(policy("own", "cart", READS, "other"));
	t.same(
		made.rollback(severed, (namespace) => namespace === "security"),
		{ kept: [] },
		"where it lets nobody in anew",
	);
	t.end();
});

const AS_BEFORE = 'principals: ["spiffe://a.example/boss"]';
const centralDeny = (who: string): string =>
	policy("no-interns", "other/cart", `action: deny, principals: ["spiffe://a.example/${who}"]`, "security");
const inOther = (namespace: string): boolean => namespace === "other";

t.test("a denial of another namespace that no grant carries any more opens nothing", (t) => {
	const made = scene(t);
	const [open, narrow] = [policy("own", "cart", READS, "other"), policy("own", "cart", AS_BEFORE, "other")];
	const declared = [RULES_GATEWAY, serviceText("cart", "other"), serviceText("page", "other")];
	const before = made.apply(
		...[...declared, policy("page", "page", READS, "other"), open, GRANT, centralDeny("intern")],
	);
	made.apply(narrow);
	const refused = {
		refused: [
			`revision ${before} AccessPolicy other/own:4:18: Service other/cart or its grant was changed after revision ${before}, whose rules would open it: AccessPolicy other/own: it lets in more than the rules of now; apply the older rules by a file, for the Services that they are meant for`,
		],
	};
	made.remove(["ReferenceGrant", "other/in"]);
	t.same(made.rollback(before), refused, "the grant is gone");
	made.apply(GRANT.replace("kind: Service}", "kind: Service, name: page}"));
	t.same(made.rollback(before), refused, "it is narrowed to another Service");
	made.apply(GRANT.replace("security", "legal"));
	t.same(made.rollback(before), refused, "it is another's");
	made.apply(GRANT);
	t.same(made.rollback(before), { kept: [] }, "it is as it was");
	t.end();
});

t.test("grants that came or went and change nothing for it hold up no rollback", async (t) => {
	const made = scene(t);
	const [open, narrow] = [policy("own", "cart", READS, "other"), policy("own", "cart", AS_BEFORE, "other")];
	const before = made.apply(RULES_GATEWAY, serviceText("cart", "other"), open, GRANT.replace("security", "legal"));
	made.apply(narrow, GRANT.replace("name: in,", "name: more,"));
	made.remove(["ReferenceGrant", "other/in"]);
	await made.restart();
	t.same(made.rollback(before), { kept: [] });
	made.apply(narrow, centralDeny("intern"));
	t.same(made.rollback(before, inOther), { kept: [] }, "nor a denial that came");
});

t.test("a rollback of a part, where a denial of the rest is not as it was", (t) => {
	const made = scene(t);
	const [open, narrow] = [policy("own", "cart", READS, "other"), policy("own", "cart", AS_BEFORE, "other")];
	const before = made.apply(RULES_GATEWAY, serviceText("cart", "other"), open, GRANT, centralDeny("intern"));
	made.apply(narrow);
	made.apply(centralDeny("nobody"));
	t.same(made.rollback(before, inOther), {
		refused: [
			`revision ${before} AccessPolicy other/own:4:18: Service other/cart is also judged by AccessPolicy security/no-interns, which would not be as at revision ${before}, whose rules would open it: AccessPolicy other/own: it lets in more than the rules of now; apply the older rules by a file, for the Services that they are meant for; or roll back AccessPolicy security/no-interns too, without --namespace`,
		],
	});
	made.remove(["AccessPolicy", "security/no-interns"]);
	t.match(made.rollback(before, inOther), { refused: [/security\/no-interns, which would not be as/] }, "it is gone");
	made.apply(policy("no-interns", "other/cart", "action: deny, methods: [GET]", "security"));
	made.apply(policy("no-interns", "other/cart", 'action: deny, principals: ["*"]', "security"));
	t.match(made.rollback(before, inOther), { kept: [] }, "a wider one keeps out all of them");
	made.apply(narrow, centralDeny("nobody"));
	t.same(made.rollback(before), { kept: [] }, "both together, as the hint says");
	t.end();
});

t.test(
	"of grants that an earlier Weir stored nothing is known of then, which matters where a policy named the Service",
	async (t) => {
		const made = scene(t);
		const [open, narrow] = [policy("own", "cart", READS, "other"), policy("own", "cart", AS_BEFORE, "other")];
		const before = made.apply(
			...[RULES_GATEWAY, serviceText("cart", "other"), open, GRANT, centralDeny("intern")],
			...[serviceText("page"), policy("page", "page", READS)],
		);
		made.apply(narrow, policy("page", "page", AS_BEFORE));
		made.remove(["ReferenceGrant", "other/in"]);
		made.store.database.transaction(() =>
			made.store.database.counters.putSync("grantsKept", made.store.current.revision),
		);
		t.match(made.rollback(before, inOther), {
			refused: [/nobody knows all rules of Service other\/cart at revision 1,/],
		});
		t.same(
			made.rollback(before, (namespace) => namespace === "default"),
			{ kept: [] },
			"of page none did",
		);
		t.end();
	},
);

t.test("nor whether a Service's data was then under another namespace's DataClass: it says so", (t) => {
	const made = scene(t);
	const law = (regions: string): string => dataClass("pii", regions).replace("name: pii", "name: pii, namespace: law");
	const before = made.apply(
		...[law("eu, us"), serviceText("cart", "other", "  access: open\n  dataClass: law/pii\n")],
		`${HEAD}kind: ReferenceGrant\nmetadata: {name: in, namespace: law}\nspec: {from: [{kind: Service, namespace: other}], to: [{kind: DataClass}]}\n`,
	);
	made.apply(law("eu"));
	t.same(made.rollback(before), { kept: [] });
	made.apply(law("eu"));
	made.store.database.transaction(() =>
		made.store.database.counters.putSync("grantsKept", made.store.current.revision),
	);
	t.match(made.rollback(before), {
		refused: [/nobody knows whether Service other\/cart might name DataClass law\/pii at revision 1, which would let/],
	});
	t.end();
});

t.test("of what an earlier Weir stored only what a policy named is known to have been there", async (t) => {
	const made = scene(t);
	const before = made.apply(
		RULES_GATEWAY,
		...[serviceText("catalog"), serviceText("page"), policy("everyone", '"*"', READS), policy("c", "catalog", READS)],
	);
	made.apply(policy("everyone", "catalog", READS), policy("page", "page", 'principals: ["spiffe://a.example/staff"]'));
	made.apply(policy("wrong", "catalog", "action: deny"));
	const later = made.store.current.revision;
	await made.forget();
	t.match(
		made.rollback(before),
		{ refused: [/nobody knows whether Service page was there at revision 1, .*; apply the older rules by a file/] },
		"page may have come later",
	);
	t.same(made.policies(), ["c", "everyone", "page", "wrong"]);
	made.apply(policy("page", "page", READS));
	t.same(made.rollback(before), { kept: ["page"] });
	t.same(made.policies(), ["c", "everyone", "page"], "wrong was about catalog, which was there");
	made.apply(policy("everyone", "catalog", READS), policy("page", "page", 'principals: ["spiffe://a.example/staff"]'));
	const known = made.apply(policy("everyone", '"*"', READS));
	made.remove(["AccessPolicy", "everyone"]);
	t.ok(known > later);
	t.same(made.rollback(known), { kept: [] }, "from the first start on it is known");
});

/** Mulberry32. */
function random(seed: number) {
	let state = seed;
	const next = (): number => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
	};
	return { next, pick: <Item>(items: readonly Item[]): Item => items[Math.floor(next() * items.length)] as Item };
}

const judged = (set: ResourceSet, service: string) => {
	const judge = policyJudge(set);
	return (method: string, path: string): boolean =>
		judge.judge({
			...{ service, host: null, gateway: null, region: null, principal: null, token: null, variant: null, nowMs: 0 },
			...{ method, path },
		}).allowed;
};

/** Declares and rolls back at random. @param isOfGrants Services stay, and policies of another namespace reach them or do not */
function whatever(t: Parameters<typeof scene>[0] & { fail(message: string): unknown }, isOfGrants: boolean) {
	const tally = { rollbacks: 0, refused: 0, withLater: 0, kept: 0, regranted: 0 };
	const { next, pick } = random(1);
	const made = scene(t);
	made.apply(RULES_GATEWAY);
	if (isOfGrants) for (const name of ["a", "b"]) made.apply(serviceText(name), policy(`of-${name}`, name, STAFF));
	const came = new Map<string, number>();
	const seen = new Map<number, ResourceSet>();
	const look = (): void => {
		const { revision, resources } = made.store.current;
		const names = resources.services.map(({ metadata }) => metadata.name);
		for (const name of came.keys()) if (!names.includes(name)) came.delete(name);
		for (const name of names) if (!came.has(name)) came.set(name, revision);
		seen.set(revision, resources);
	};
	const declared = (): string => {
		const kind = isOfGrants ? 0.5 + next() / 2 : next() / 2;
		const more = `${next() < 0.3 ? "  access: open\n" : ""}${next() < 0.3 ? "  dataClass: h\n" : ""}`;
		if (kind < 0.15) return serviceText(pick(["a", "b", "c"]), "default", more);
		if (kind < 0.225) return dataClass("h", pick(["eu", "us", "eu, us"]));
		const isCentral = kind > 0.8;
		if (isOfGrants && kind < 0.6) return grant(pick(["", "", ", name: a", ", name: b"]));
		const about = isCentral
			? pick(["default/a", "default/b", "default/a, default/b"])
			: pick(isOfGrants ? ['"*"', "a", "b", "a, b"] : ['"*"', '"*"', "a", "b", "c", "a, b", "b, c"]);
		const [action, mode] = [pick(["allow", "allow", "deny"]), pick(["enforce", "enforce", "shadow"])];
		const classed = isOfGrants ? "" : ", dataClasses: [h]";
		const at = pick(["", "", ", methods: [GET]", ", methods: [POST]", ", pathPrefixes: [/x]", classed]);
		const rest = `action: ${action}, principals: [anyone], mode: ${mode}${at}`;
		return policy(pick(["p", "q", "r", "s"]), about, rest, isCentral ? "security" : "default");
	};
	const change = (): void => {
		if (next() < 0.7) {
			const texts = Array.from({ length: 1 + Math.floor(next() * 3) }, declared);
			made.apply(...new Map(texts.map((text) => [text.split("\n").slice(1, 3).join(), text])).values());
			return;
		}
		const { accessPolicies, services, referenceGrants } = made.store.current.resources;
		const others = isOfGrants ? referenceGrants : services;
		const all = [...accessPolicies, ...others, ...others];
		if (all.length === 0) return;
		const one = pick(all);
		const about = accessPolicies.filter(
			({ spec }) => one.kind === "Service" && spec.services.every((name) => name === one.metadata.name),
		);
		made.remove(...[one, ...about].map(({ kind, metadata }) => [kind, qualifiedName(metadata)] as const));
	};
	const quietly = <Made>(act: () => Made): Made | null => {
		try {
			return act();
		} catch {
			return null; // Refused, and so nothing is changed.
		}
	};
	for (let step = 0; step < 500; step++) {
		look();
		if (next() < 0.6) {
			quietly(change);
			continue;
		}
		const to = pick([...seen.keys()].slice(-12));
		const [before, then] = [made.store.current.resources, seen.get(to)];
		const part = isOfGrants ? pick([null, null, "default", "security"]) : null;
		const result = quietly(() => made.rollback(to, (namespace) => part === null || namespace === part));
		if (result === null || then === undefined) continue;
		tally.rollbacks++;
		if ("refused" in result) {
			tally.refused++;
			continue;
		}
		if (result.kept.length > 0) tally.kept++;
		const after = made.store.current.resources;
		if (!isDeepStrictEqual(then.referenceGrants, after.referenceGrants)) tally.regranted++;
		for (const { metadata, spec } of before.services) {
			const { name } = metadata;
			const isLater = (came.get(name) ?? 0) > to;
			if (isLater) tally.withLater++;
			const [was, is, formerly] = [judged(before, name), judged(after, name), judged(then, name)];
			for (const method of ["GET", "POST", "PUT"])
				for (const path of ["/", "/x", "/x/y", "/a/%21"]) {
					if (!is(method, path) || was(method, path) || (!isLater && formerly(method, path))) continue;
					t.fail(
						`step ${step}: ${method} ${path} of ${name} was denied${isLater ? ", and it came later" : ", and then"}`,
					);
				}
			if (!isLater || spec.dataClass === null) continue;
			const [of, now] = [before, after].map((set) => set.dataClasses[0]?.spec.regions ?? []);
			if (now?.some((region) => !of?.includes(region))) t.fail(`step ${step}: data of ${name} goes to ${now}`);
		}
	}
	return tally;
}

t.test("whatever was declared: a later Service denies what it denied, and its data goes no further", (t) => {
	const tally = whatever(t, false);
	t.comment(JSON.stringify(tally));
	t.ok(tally.rollbacks > 100 && tally.withLater > 20 && tally.kept > 5, "rollbacks were made");
	t.ok(tally.refused < tally.rollbacks / 2, "most of them");
	t.end();
});

t.test("whatever was granted since, and whichever part goes back: who is let in was then or is now", (t) => {
	const tally = whatever(t, true);
	t.comment(JSON.stringify(tally));
	t.ok(tally.rollbacks > 100 && tally.regranted > 50, "rollbacks were made");
	t.ok(tally.refused < tally.rollbacks / 2, "most of them");
	t.end();
});
