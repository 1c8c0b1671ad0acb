/** The audit log of operators: its chain, its bounds, and that a log line stays one line. */
import t from "tap";
import { AuditChain } from "../../src/state/auditChain.js";
import { auditHash } from "../../src/state/auditHash.js";
import type { AuditRecord, NewAuditRecord } from "../../src/state/auditLog.js";
import { Store } from "../../src/state/store.js";
import { file, METRIC, temporaryDirectory } from "./employment.js";
import { mutualApi, operator } from "./mutualApi.js";

const made = (more: Partial<NewAuditRecord> = {}): NewAuditRecord => ({
	atMs: 1_000,
	call: "c",
	subject: "spiffe://weir.test/ada",
	how: "mtls",
	verb: "apply",
	namespaces: ["default"],
	objects: ["created Metric a"],
	revisionBefore: 0,
	revisionAfter: 1,
	result: "done",
	why: "",
	request: null,
	askedBy: null,
	approvedBy: [],
	...more,
});

function storeOf(
	t: Parameters<typeof temporaryDirectory>[0] & { teardown(end: () => unknown): unknown },
	keep?: number,
): Store {
	const store = new Store(temporaryDirectory(t), keep === undefined ? {} : { auditRecords: keep });
	t.teardown(() => store.close());
	return store;
}

/** The fault that a reader finds in these records; null = none. */
function faultOf(
	store: Store,
	records: readonly AuditRecord[],
	noted: ConstructorParameters<typeof AuditChain>[0] = null,
) {
	const chain = new AuditChain(noted);
	for (const record of records) chain.add(record);
	return chain.end(store.audit.page(0, 1_000));
}

t.test("a record holds the hash of the one before: what is changed, taken out, put in or swapped shows", async (t) => {
	const store = storeOf(t);
	for (let n = 0; n < 5; n++) store.audit.append(made({ objects: [`created Metric m${n}`] }));
	const { records, head } = store.audit.page(0, 100);
	t.same(
		records.map(({ sequence }) => sequence),
		[1, 2, 3, 4, 5],
	);
	t.equal(records[0]?.previous, "0".repeat(64));
	t.equal(faultOf(store, records), null);
	const at = (index: number): AuditRecord => records[index] as AuditRecord;
	const forged = { ...at(2), subject: "spiffe://weir.test/eve" };
	t.match(faultOf(store, [at(0), at(1), forged, at(3), at(4)]), /record 3 is not the one/);
	t.match(faultOf(store, [at(0), at(1), at(3), at(4)]), /after record 2 comes 4/);
	t.match(faultOf(store, [at(0), at(2), at(1), at(3), at(4)]), /after record 1 comes 3/);
	t.match(faultOf(store, records.slice(0, 4)), /the chain ends at 4/);
	t.match(faultOf(store, [...records.slice(0, 4), { ...at(4), why: "x" }]), /newest record/);
	// A whole new chain holds in itself: a head that somebody noted earlier finds it.
	t.equal(faultOf(store, records, { sequence: 3, hash: auditHash(at(2)) }), null);
	t.match(faultOf(store, records, { sequence: 3, hash: "f".repeat(64) }), /not the one that was noted/);
	t.match(faultOf(store, records, { sequence: 9, hash: head.hash }), /record 9, which was noted, is not there/);
});

t.test("it is bounded: the oldest go and are counted, and the rest is still a chain", async (t) => {
	const store = storeOf(t, 3);
	for (let n = 0; n < 8; n++) store.audit.append(made());
	const page = store.audit.page(0, 100);
	t.same(
		page.records.map(({ sequence }) => sequence),
		[6, 7, 8],
	);
	t.equal(page.dropped, 5);
	t.equal(faultOf(store, page.records), null);
	t.equal(
		faultOf(store, page.records, { sequence: 2, hash: "f".repeat(64) }),
		null,
		"what was dropped cannot be checked",
	);
	t.match(store.audit.page(6, 1), { records: [{ sequence: 7 }], next: 7 });
	t.match(store.audit.page(7, 1), { records: [{ sequence: 8 }], next: null });
	store.audit.append(made({ objects: Array.from({ length: 5_000 }, (_, n) => `created Metric m${n}`) }));
	const last = store.audit.page(8, 1).records[0];
	t.same([last?.objects.length, last?.objectCount], [50, 5_000]);
});

t.test("nobody's acts push out those of who has fewer; the gaps are said and bound by the newest record", async (t) => {
	const store = storeOf(t, 40);
	const by = (name: string, more: Partial<NewAuditRecord> = {}): void =>
		store.audit.append(made({ subject: `spiffe://weir.test/${name}`, ...more }));
	const page = () => store.audit.page(0, 1_000);
	const whose = (name: string): readonly number[] =>
		page()
			.records.filter(({ subject }) => subject === `spiffe://weir.test/${name}`)
			.map(({ sequence }) => sequence);
	const verify = (): string | null => faultOf(store, page().records);
	for (let n = 0; n < 10; n++) by("ada");
	store.atomically(() => {
		for (let n = 0; n < 500; n++) {
			by("eve");
			if (n % 100 === 50) by("bob");
			if (n % 50 === 0) t.equal(verify(), null, `after ${n}`);
		}
	});
	t.same(whose("ada"), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
	t.equal(whose("bob").length, 5);
	t.equal(whose("eve").length, 25, "the rest of the shelf is who wrote the most's");
	t.equal(store.audit.gone, 515 - 40);
	t.equal(page().dropped, 0);
	t.ok(page().gaps.length > 1);
	const { records, gaps, head, dropped } = page();
	const fault = (change: (chain: AuditChain) => void, more: Partial<ReturnType<typeof page>> = {}): string | null => {
		const chain = new AuditChain();
		change(chain);
		return chain.end({ head, dropped, gaps, ...more });
	};
	const forged = (sequence: number) => (chain: AuditChain) => {
		for (const one of records) chain.add(one.sequence === sequence ? { ...one, why: "forged" } : one);
	};
	t.match(fault(forged(10)), /record 10 is not the one before the gap behind it/);
	const first = gaps[0] as (typeof gaps)[number];
	t.match(fault(forged(first.to + 1)), /is not the one/);
	const honest = (chain: AuditChain) => {
		for (const one of records) chain.add(one);
	};
	t.equal(fault(honest), null);
	t.match(
		fault(honest, { gaps: [{ ...first, before: "f".repeat(64) }, ...gaps.slice(1)] }),
		/record 10 is not the one/,
	);
	t.match(fault(honest, { gaps: gaps.slice(1) }), /after record 10 comes/);
	t.match(
		fault(honest, { gaps: [...gaps, { from: 900, to: 901, before: "", after: "" }] }),
		/the gaps are not those that the newest record was written with/,
	);
	t.match(
		fault((chain) => {
			for (const one of records) if (one.sequence !== 5) chain.add(one);
		}),
		/after record 4 comes 6/,
	);
	for (let n = 0; n < 60; n++) by("eve", { result: "refused", atMs: 60_000 * n });
	t.equal(whose("ada").length, 10, "nor do refused attempts");
	t.equal(verify(), null);
	const noted = { sequence: (gaps[0]?.from ?? 0) + 1, hash: "f".repeat(64) };
	t.equal(faultOf(store, page().records, noted), null, "what went cannot be checked");
});

t.test("records of an earlier Weir, which says nothing of gaps and counts no holders, are taken along", async (t) => {
	const store = storeOf(t, 6);
	const { audit, auditHeld, auditShares, auditSizes, counters } = store.database;
	let previous = "0".repeat(64);
	for (let sequence = 1; sequence <= 6; sequence++) {
		const subject = sequence <= 2 ? "ada" : "eve";
		const old = { ...made({ subject }), sequence, previous, objectCount: 1, unrecordedRefusals: 0 } as AuditRecord;
		await audit.put(sequence, old);
		previous = auditHash(old);
	}
	t.same([auditHeld.getKeysCount(), auditShares.getKeysCount(), auditSizes.getKeysCount()], [0, 0, 0]);
	store.audit.append(made({ subject: "eve" }));
	store.audit.append(made({ subject: "eve" }));
	t.equal(counters.get("auditHeld"), 6);
	const { records } = store.audit.page(0, 10);
	t.same(
		records.map(({ sequence }) => sequence),
		[1, 2, 5, 6, 7, 8],
	);
	t.equal(faultOf(store, records), null);
});

t.test("gaps are bounded: what lies between the oldest two goes", async (t) => {
	const store = new Store(temporaryDirectory(t), { auditRecords: 60, auditGaps: 3 });
	t.teardown(() => store.close());
	store.atomically(() => {
		for (let n = 0; n < 600; n++) {
			store.audit.append(made({ subject: n % 30 === 0 ? "spiffe://weir.test/ada" : "spiffe://weir.test/eve" }));
			const page = store.audit.page(0, 1_000);
			if (page.gaps.length > 3) t.fail(`${page.gaps.length} gaps`);
			if (n % 20 === 0) t.equal(faultOf(store, page.records), null);
		}
	});
	const { records } = store.audit.page(0, 1_000);
	t.equal(records.length, 60);
	t.ok(records.filter(({ subject }) => subject === "spiffe://weir.test/ada").length >= 4);
});

t.test("what one subject repeats without changing anything is recorded once a minute", async (t) => {
	const store = storeOf(t);
	const probes = (atMs: number, subject = "eve"): void =>
		store.audit.appendOnce(made({ verb: "probe", subject, atMs }));
	for (let n = 0; n < 300; n++) probes(60_000 + n);
	probes(60_500, "bob");
	for (let n = 0; n < 3; n++) probes(120_000);
	t.same(
		store.audit.page(0, 10).records.map(({ subject, unrecordedRefusals }) => [subject, unrecordedRefusals]),
		[
			["eve", 0],
			["bob", 0],
			["eve", 0],
		],
	);
});

t.test("a flood of refusals is counted, not written, and pushes out no act", async (t) => {
	const store = storeOf(t);
	for (let n = 0; n < 500; n++) store.audit.append(made({ result: "refused", atMs: 60_000 }));
	t.equal(store.audit.page(0, 1_000).records.length, 60);
	store.audit.append(made({ result: "refused", subject: "spiffe://weir.test/bob", atMs: 60_001 }));
	const last = store.audit.page(60, 10).records;
	t.match(last, [{ subject: "spiffe://weir.test/bob", unrecordedRefusals: 440 }], "another's is written, and says so");
	store.audit.append(made({ result: "refused", atMs: 120_000 }));
	t.equal(store.audit.page(0, 1_000).records.length, 62, "a minute later anew");
	for (let n = 0; n < 3_000; n++) {
		store.audit.append(made({ result: "refused", subject: `spiffe://weir.test/s${n}`, atMs: 180_000 }));
	}
	t.equal(store.audit.page(0, 5_000).records.length, 1_000);
	t.equal(store.audit.page(1_000, 5_000).records.length, 62 + 1_000 + 60 - 1_000, "nor do many names");
});

t.test("an act and its record are one: a record that cannot be written undoes the act", async (t) => {
	const { owner, store } = await mutualApi(t);
	t.match(await owner.apply(file(METRIC), { dryRun: false }), { outcome: "applied" });
	const broken = (): never => {
		throw new Error("the disk is full");
	};
	Object.defineProperty(store.audit, "append", { value: broken });
	const before = store.current;
	await t.rejects(owner.apply(file(METRIC.replace("1s", "2s")), { dryRun: false }), { code: "internal" });
	await t.rejects(owner.delete("Metric", "accuracy", { dryRun: false }), { code: "internal" });
	t.equal(store.current, before);
	const text = await owner.getYaml();
	t.equal(text, METRIC);
});

t.test("who, how, what and why over the API; an operator's words stay on one line", async (t) => {
	const { owner, as, store } = await mutualApi(t, { admins: [operator("ada")] });
	const ada = await as("ada");
	const { call, ...record } = await ada
		.apply(file(METRIC, "metric.yaml"), { dryRun: false })
		.then(() => store.audit.page(0, 1).records[0] as AuditRecord);
	t.match(call, /^[0-9a-f-]{36}$/);
	t.match(record, {
		sequence: 1,
		subject: operator("ada"),
		how: "mtls",
		verb: "apply",
		namespaces: ["default"],
		objects: ["created Metric accuracy"],
		revisionBefore: 0,
		revisionAfter: 1,
		result: "done",
		approvedBy: [],
	});
	await ada.apply(file(METRIC), { dryRun: false });
	await ada.apply(file(METRIC.replace("1s", "2s")), { dryRun: true });
	t.equal(store.audit.page(0, 10).records.length, 1, "what changes nothing is no act");
	t.match(await ada.apply(file(METRIC.replace("rate", "nonsense")), { dryRun: false }), { outcome: "refused" });
	t.match((await owner.audit(1)).records, [{ result: "refused", why: /1 problems/ }]);
	const odd = await ada.raw("GET", "/v1/audit?x=%0d%0a");
	t.equal(odd.status, 400);
	store.audit.append(made({ why: 'a\r\n{"forged":1}\u2028' }));
	const { text } = await ada.raw("GET", "/v1/audit");
	t.notMatch(text, /[\r\n]/);
});
