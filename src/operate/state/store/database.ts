/**
 * The state file: one LMDB environment with a sub-database per noun. It promises that a transaction is durable
 * (fdatasync before commit returns, no overlapping sync) and atomic (a throw inside it leaves nothing), that one
 * process at a time owns the file, and that only this user can read it. The only importer of lmdb.
 *
 * Synchronous commits on purpose: one costs well under 10 ms on common disks, there are a few a second at most,
 * and between the check of a revision and its commit nothing else can run.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, realpathSync } from "node:fs";
import { join } from "node:path";
import type { Database, RootDatabase } from "lmdb";

// Not by `import`: see events/store/store.ts.
import lmdb = require("lmdb");

import type { PlanTable } from "../../../compile/plan/compiledPlan.js";
import type { Decision } from "../../../decide/rollout/decision.js";
import type { NotificationMessage, ProxyStatus } from "../../../decide/rollout/ports.js";
import type { ExperimentStatus, ServiceStatus } from "../../../decide/rollout/status.js";
import type { Kind } from "../../../declare/resources/resource.js";
import { WeirError } from "../../../error.js";
import { requireOwnFolder } from "../../../trust/local/socket.js";
import type { AuditRecord } from "../../audit/auditRecord.js";
import type { StoredEntry } from "../../changes/change.js";
import type { StoredResource, Used } from "../../changes/stored.js";
import { isAlive, type Owner, thisProcess } from "./owner.js";
import { Writes } from "./writes.js";

export interface StoredDecision {
	readonly decision: Decision;
	/** The revision that the decision led to. */
	readonly revision: number;
	/** Whether live traffic moved with it, and so whether its acknowledgement starts a step. */
	readonly movesTraffic: boolean;
}

export interface StoredPlan {
	/** Last time it was kept, i.e. about to be published. */
	readonly keptAtMs: number;
	readonly table: PlanTable;
}

export interface ProxyReport {
	/** null: nothing was reported yet. */
	readonly reportedAtMs: number | null;
	readonly proxies: readonly ProxyStatus[];
}

export type OutboxKey = [experiment: string, sequence: number, place: number];

type Counter =
	| "revision"
	| "declared"
	| "started"
	| "acknowledged"
	| "auditDropped"
	| "auditRefusedDropped"
	| "droppedNotices"
	| "historyKeptFrom";

export interface StateDatabase {
	readonly resources: Database<StoredResource, [Kind, string]>;
	readonly experiments: Database<ExperimentStatus, string>;
	readonly services: Database<ServiceStatus, string>;
	readonly decisions: Database<StoredDecision, [string, number]>;
	/** Decisions not yet acknowledged, by the revision they led to. */
	readonly pending: Database<true, [number, string, number]>;
	readonly plans: Database<StoredPlan, string>;
	/** Plans by age, oldest first. */
	readonly planAges: Database<true, [number, string]>;
	readonly used: Database<Used, ["name" | "salt", string]>;
	/**
	 * `revision`, `declared` and `started` (declarations.ts), `acknowledged` (the highest revision all Envoys have acknowledged), how many of the oldest audit records of
	 * each chain and how many rollback notifications were dropped, and the oldest revision that a rollback can go back to.
	 */
	readonly counters: Database<number, Counter>;
	readonly proxies: Database<ProxyReport, "report">;
	/** Changes by the revision that they made, and what each of them replaced. */
	readonly history: Database<StoredEntry, number>;
	readonly replacedDocuments: Database<readonly (StoredResource | null)[], number>;
	/** By sequence: operations, and refused attempts (auditLog.ts). */
	readonly audit: Database<AuditRecord, number>;
	readonly auditRefused: Database<AuditRecord, number>;
	/** Rollback notifications that are not delivered yet. */
	readonly outbox: Database<NotificationMessage, OutboxKey>;
	/** The table of a room that stands above the state; its values are that room's own. */
	table<Value>(name: "requests" | "operations"): Database<Value, string>;
	/**
	 * Runs `change` as one durable transaction; a throw inside it leaves nothing behind.
	 * @throws WeirError `unavailable`: the disk does not take it
	 */
	transaction<T>(change: () => T): T;
	/** Why the disk takes nothing now; null = it does, as far as is known. */
	unwritten(): string | null;
	close(): Promise<void>;
}

const FILE = "state.mdb";
/** Version of the file; a Weir that changes what it holds, or what it would accept of that, raises this. */
const FORMAT = 1;

/**
 * Opens or creates the state file in `directory` (made with mode 0700).
 * @throws WeirError `failed-precondition`: open in another process, readable by others, or of another format;
 * `unavailable`: the file cannot be opened.
 */
export function openDatabase(directory: string): StateDatabase {
	privateDirectory(directory);
	const root = openRoot(directory);
	const meta = root.openDB<number, string>({ name: "meta", encoding: "json" });
	const owners = root.openDB<Owner, string>({ name: "owner", encoding: "json" });
	const me = thisProcess();
	try {
		root.transactionSync(() => {
			const owner = owners.get("owner");
			if (owner !== undefined && isAlive(owner)) {
				throw new WeirError(
					"failed-precondition",
					`the state in ${directory} is open in process ${owner.pid}`,
					"stop that process, or give this one a data directory of its own",
				);
			}
			const format = meta.get("format");
			if (format !== undefined && format !== FORMAT) {
				throw new WeirError(
					"failed-precondition",
					`the state in ${directory} is of version ${format}, and this Weir reads version ${FORMAT}`,
					"delete it, or use the Weir that made it",
				);
			}
			meta.putSync("format", FORMAT);
			owners.putSync("owner", me);
		});
		// The file's directory entry must survive a power cut like the data does.
		syncDirectory(directory);
	} catch (error) {
		void root.close();
		throw error;
	}
	const part = <V, K extends string | number | (string | number)[]>(name: string): Database<V, K> =>
		root.openDB<V, K>({ name, encoding: "json" });
	const writes = new Writes(
		directory,
		(change) => root.transactionSync(change),
		() => meta.putSync("format", FORMAT),
	);
	return {
		resources: part("resources"),
		experiments: part("experiments"),
		services: part("services"),
		decisions: part("decisions"),
		pending: part("pending"),
		plans: part("plans"),
		planAges: part("planAges"),
		used: part("used"),
		counters: part("counters"),
		proxies: part("proxies"),
		history: part("history"),
		replacedDocuments: part("replacedDocuments"),
		audit: part("audit"),
		auditRefused: part("auditRefused"),
		outbox: part("outbox"),
		table: (name) => part(name),
		transaction: (change) => writes.run(change),
		unwritten: () => writes.fault(),
		close: async () => {
			root.transactionSync(() => owners.removeSync("owner"));
			await root.close();
		},
	};
}

function openRoot(directory: string): RootDatabase {
	// permissionsMode is read by lmdb's native part and missing from its types.
	const options = {
		path: join(directory, FILE),
		noSubdir: true,
		overlappingSync: false,
		encoding: "json" as const,
		maxDbs: 32,
		permissionsMode: 0o600,
	};
	try {
		return lmdb.open(options);
	} catch (error) {
		throw new WeirError(
			"unavailable",
			`cannot open the state file in ${directory}: ${error instanceof Error ? error.message : String(error)}`,
			"check that the disk has room and that the file is Weir's own",
			{ cause: error },
		);
	}
}

/**
 * Makes the directory with mode 0700, or checks that no other user can enter it; the path may be a link.
 * @throws WeirError `failed-precondition` where it is another's, or others can enter it
 */
export function privateDirectory(directory: string): void {
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	requireOwnFolder(realpathSync(directory));
}

function syncDirectory(directory: string): void {
	const handle = openSync(directory, "r");
	try {
		fsyncSync(handle);
	} finally {
		closeSync(handle);
	}
}
