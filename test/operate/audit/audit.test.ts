/** The audit log of operators: its chain, its bounds, and that a log line stays one line. */
import t from "tap";
import { AuditChain } from "../../../src/operate/audit/auditChain.js";
import { auditHash } from "../../../src/operate/audit/auditHash.js";
import type { AuditChainName } from "../../../src/operate/audit/auditLog.js";
import type { AuditHead, AuditRecord, NewAuditRecord } from "../../../src/operate/audit/auditRecord.js";
import { openDatabase } from "../../../src/operate/state/store/database.js";
import { Store } from "../../../src/operate/state/store/store.js";
import { file, METRIC, temporaryDirectory } from "../employment.js";
import { mutualApi, operator } from "../mutualApi.js";

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
	noted: readonly AuditHead[] = [],
	name: AuditChainName = "operations",
) {
	const chain = new AuditChain(noted);
	for (const record of records) chain.add(record);
	return chain.end(store.audit.page(0, 1_000, name));
}

/** Content of the file. */
function fault(store: Store, chain: AuditChainName = "operations", noted: readonly AuditHead[] = []): string | null {
	return faultOf(store, store.audit.page(0, 1_000, chain).records, noted, chain);
}

t.test(
	"a record holds the hash of the previous one, so that changed, removed or added records are found",
	async (t) => {
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
		const later = { ...at(0), previous: "f".repeat(64) };
		const alone = new AuditChain();
		alone.add(later);
		t.equal(
			alone.end({ head: { sequence: 1, hash: auditHash(later) }, dropped: 0, keep: 9 }),
			"record 1 was written after another one",
		);
		// A forged chain is consistent in itself: only a noted head detects it.
		t.equal(faultOf(store, records, [{ sequence: 3, hash: auditHash(at(2)) }]), null);
		t.match(faultOf(store, records, [{ sequence: 3, hash: "f".repeat(64) }]), /not the one that was noted/);
		t.match(faultOf(store, records, [{ sequence: 9, hash: head.hash }]), /record 9, which was noted, is not there/);
	},
);

t.test("the log is bounded: the oldest records go and are counted, and the rest is still a chain", async (t) => {
	const store = storeOf(t, 3);
	for (let n = 0; n < 8; n++) store.audit.append(made());
	const page = store.audit.page(0, 100);
	t.same(
		page.records.map(({ sequence }) => sequence),
		[6, 7, 8],
	);
	t.equal(page.dropped, 5);
	t.equal(faultOf(store, page.records), null);
	const chain = new AuditChain(
		[2, 5, 6].map((sequence) => ({ sequence, hash: auditHash(page.records[0] as AuditRecord) })),
	);
	for (const record of page.records) chain.add(record);
	t.equal(chain.end(page), null);
	t.same(chain.notKept(page), [2, 5], "dropped records cannot be checked, and are named");
	t.same(new AuditChain([{ sequence: 0, hash: "0".repeat(64) }]).notKept(page), []);
	t.match(store.audit.page(6, 1), { records: [{ sequence: 7 }], next: 7 });
	t.match(store.audit.page(7, 1), { records: [{ sequence: 8 }], next: null });
});

t.test("an operation is recorded in full, in several records if needed; a refusal has fifty objects", async (t) => {
	const store = storeOf(t);
	const objects = Array.from({ length: 120 }, (_, n) => `created Metric m${n}`);
	store.audit.appendWhole(made({ objects }));
	const { records } = store.audit.page(0, 10);
	t.same(
		records.map((one) => [one.objects.length, one.objectCount]),
		[
			[50, 120],
			[50, 120],
			[20, 120],
		],
	);
	t.same(
		records.flatMap((one) => one.objects),
		objects,
	);
	t.equal(faultOf(store, records), null);
	store.audit.append(made({ objects, result: "pending" }));
	const [pending] = store.audit.page(3, 10).records;
	t.same([pending?.objects.length, pending?.objectCount], [50, 120], "what changed nothing");
	store.audit.append(made({ objects, result: "refused" }));
	const [refused] = store.audit.page(0, 10, "refused").records;
	t.same([refused?.objects.length, refused?.objectCount], [50, 120]);
});

t.test("refused attempts cannot evict operations: they have their own chain", async (t) => {
	const store = storeOf(t, 40);
	for (let n = 0; n < 10; n++) store.audit.append(made());
	store.atomically(() => {
		for (let n = 0; n < 500; n++) {
			store.audit.append(made({ subject: `eve${n % 7}`, result: "refused", atMs: 60_000 * n }));
			if (n % 3 === 0) store.audit.append(made({ subject: null, result: "refused", atMs: 60_000 * n }));
		}
	});
	const { records, dropped } = store.audit.page(0, 1_000);
	t.same(
		[records.map(({ sequence }) => sequence), dropped, store.audit.dropped("operations")],
		[[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0, 0],
	);
	t.equal(store.audit.page(0, 1_000, "refused").records.length, 40);
	t.equal(store.audit.dropped("refused"), 500 + 167 - 40);
	t.same([fault(store), fault(store, "refused")], [null, null]);
});

t.test("a removed record is found in the middle, and at the oldest end before the limit", async (t) => {
	const directory = temporaryDirectory(t);
	const store = new Store(directory);
	for (let n = 1; n <= 60; n++) store.audit.append(made({ subject: n === 15 ? "eve" : "ada" }));
	const noted = [store.audit.page(0, 1).head];
	await store.close();
	const forged = async (change: (database: ReturnType<typeof openDatabase>) => unknown): Promise<string | null> => {
		const database = openDatabase(directory);
		database.transaction(() => change(database));
		await database.close();
		const again = new Store(directory);
		again.audit.append(made());
		const found = fault(again, "operations", noted);
		await again.close();
		return found;
	};
	t.equal(await forged(() => {}), null);
	t.equal(await forged(({ audit }) => audit.removeSync(15)), "after record 14 comes 16");
	t.equal(
		await forged(({ audit, counters }) => {
			for (let sequence = 1; sequence < 15; sequence++) audit.removeSync(sequence);
			counters.putSync("auditDropped", 15);
		}),
		"the answer has 15 records as dropped, but of 63 the newest 100000 are kept",
	);
});

t.test("repeated requests of one subject that change nothing are recorded once a minute", async (t) => {
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

t.test("a flood of refusals is counted, not written, and evicts no operation", async (t) => {
	const store = storeOf(t);
	for (let n = 0; n < 500; n++) store.audit.append(made({ result: "refused", atMs: 60_000 }));
	t.equal(store.audit.page(0, 1_000, "refused").records.length, 60);
	store.audit.append(made({ result: "refused", subject: "spiffe://weir.test/bob", atMs: 60_001 }));
	const last = store.audit.page(60, 10, "refused").records;
	t.match(
		last,
		[{ subject: "spiffe://weir.test/bob", unrecordedRefusals: 440 }],
		"the refusal of another is written, with the count",
	);
	store.audit.append(made({ result: "refused", atMs: 120_000 }));
	t.equal(store.audit.page(0, 1_000, "refused").records.length, 62, "a minute later anew");
	for (let n = 0; n < 3_000; n++) {
		store.audit.append(made({ result: "refused", subject: `spiffe://weir.test/s${n}`, atMs: 180_000 }));
	}
	t.equal(store.audit.page(0, 5_000, "refused").records.length, 1_000);
	t.equal(store.audit.page(1_000, 5_000, "refused").records.length, 62 + 1_000 + 60 - 1_000, "nor do many names");
});

t.test("an operation and its record are atomic: a failed record undoes the operation", async (t) => {
	const { owner, store } = await mutualApi(t);
	t.match(await owner.apply(file(METRIC), { dryRun: false }), { outcome: "applied" });
	const broken = (): never => {
		throw new Error("the disk is full");
	};
	for (const name of ["append", "appendWhole"]) Object.defineProperty(store.audit, name, { value: broken });
	const before = store.current;
	await t.rejects(owner.apply(file(METRIC.replace("1s", "2s")), { dryRun: false }), { code: "internal" });
	await t.rejects(owner.delete("Metric", "accuracy", { dryRun: false }), { code: "internal" });
	t.equal(store.current, before);
	const text = await owner.getYaml();
	t.equal(text, METRIC);
});

t.test("the API returns subject, method, operation and reason; an operator's text stays on one line", async (t) => {
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
	t.match((await owner.audit(0, 10, "refused")).records, [
		{ result: "refused", why: /^1 problem in the declaration$/ },
	]);
	t.equal((await ada.raw("GET", "/v1/audit?chain=x")).status, 400);
	const odd = await ada.raw("GET", "/v1/audit?x=%0d%0a");
	t.equal(odd.status, 400);
	store.audit.append(made({ why: 'a\r\n{"forged":1}\u2028' }));
	const { text } = await ada.raw("GET", "/v1/audit");
	t.notMatch(text, /[\r\n]/);
});
