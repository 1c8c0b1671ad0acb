/**
 * Declared resources and live status in one transactional file. Every change of several parts is one durable transaction: after
 * kill -9 at any moment, what was answered is there and nothing is half applied.
 *
 * The revision grows by one with every change of resources or status, and with nothing else. Acknowledgements,
 * kept plans and proxy reports leave it alone: they change no plan, and a bump would make every decision in
 * flight a conflict and every publication the cause of the next. An acknowledgement does move `stepStartedAtMs`;
 * a reader that needs it fresh asks for `state(-1, 0)`, and `decide` never puts an older one back.
 */

import { isDeepStrictEqual } from "node:util";
import type { PlanTable } from "../../../compile/plan/compiledPlan.js";
import { closedServices } from "../../../decide/rollout/closedServices.js";
import type { Decision, Outcome } from "../../../decide/rollout/decision.js";
import { rollbackNotices } from "../../../decide/rollout/gate.js";
import type {
	NotificationMessage,
	Outbox,
	PendingNotification,
	ProxyStatus,
	State,
	StateStore,
} from "../../../decide/rollout/ports.js";
import { isOver } from "../../../decide/rollout/status.js";
import type { ControlListener } from "../../../declare/resources/checks/controlListener.js";
import { serviceOf } from "../../../declare/resources/lookup.js";
import { type Experiment, qualifiedName } from "../../../declare/resources/resource.js";
import { WeirError } from "../../../error.js";
import { STATE_KEY_CHARS_MAX } from "../../../limits/index.js";
import { AuditLog } from "../../audit/auditLog.js";
import type { Change, Target } from "../../changes/change.js";
import { type ApplyResult, type ChangeSet, changeSetOf } from "../../changes/changeSet.js";
import { sortedSet } from "../../changes/resourceKey.js";
import type { StoredResource } from "../../changes/stored.js";
import { History, type Scope } from "../history/history.js";
import { openDatabase, type ProxyReport, type StateDatabase } from "./database.js";
import { DecisionLog, type DecisionPage, type NewDecision } from "./decisionLog.js";
import { Declarations } from "./declarations.js";
import type { LastDecision } from "./lastDecision.js";
import { lastDecisionIn } from "./lastDecision.js";
import { type MetricName, metricNames } from "./metricNames.js";
import { OutboxStore } from "./outboxStore.js";
import { PlanStore } from "./planStore.js";
import { RevisionWaiters } from "./revisionWaiters.js";
import { defaultChange, stateIn, storedIn, writeAcknowledged, writeChangeSet, writeDecided } from "./written.js";

export type { ApplyResult } from "../../changes/changeSet.js";

/** Longest long poll on the state: below the idle timeouts of common HTTP stacks. */
const STATE_LONG_POLL_MS_MAX = 60_000;

/** Recent changes of live traffic that are searched for a request's allocation: Envoys apply a plan in seconds. */
export const TRAFFIC_CHANGES_SEARCHED = 10;

export interface ApplyOptions {
	/** The person, as recorded with what the declaration decides. */
	readonly by: string;
	/** Check only, change nothing. */
	readonly dryRun: boolean;
	readonly nowMs: number;
	/** The revision that a rollback goes back to. */
	readonly rolledBackTo?: number | null;
}

export interface StoreOptions {
	/** The clock of kept plans and reports; decisions bring their own time. */
	readonly now?: () => number;
	/** Audit records kept of each chain; for tests. */
	readonly auditRecords?: number;
	/** Control's own listeners: no Service may have them as endpoints. Read at each change. */
	readonly controlListeners?: () => readonly ControlListener[];
	/** Whether gates may be on control's own machine. */
	readonly allowLocalGates?: boolean;
}

/** What a transaction did to the state. */
interface Written {
	state: boolean;
	/** The resources that it wrote; null = none changed. */
	resources: readonly StoredResource[] | null;
}

export class Store implements StateStore, Outbox {
	readonly #database: StateDatabase;
	readonly #log: DecisionLog;
	readonly #plans: PlanStore;
	readonly #waiters = new RevisionWaiters();
	readonly #now: () => number;
	readonly #controlListeners: () => readonly ControlListener[];
	readonly #allowLocalGates: boolean;
	#stored: readonly StoredResource[] = [];
	#state: State;
	#closed = false;
	readonly #outbox: OutboxStore;
	/** Set while a transaction runs. */
	#change: Written | null = null;
	/** What operators did; its records are written inside `atomically`. */
	readonly audit: AuditLog;
	readonly declarations: Declarations;
	readonly history: History;

	/**
	 * Opens or creates the state in a directory of its own (mode 0700).
	 * @throws WeirError `failed-precondition` where another process has it open or others can read it.
	 */
	constructor(directory: string, options: StoreOptions = {}) {
		this.#database = openDatabase(directory);
		this.#log = new DecisionLog(this.#database);
		this.#plans = new PlanStore(this.#database);
		this.#outbox = new OutboxStore(this.#database);
		this.audit = new AuditLog(this.#database, options.auditRecords);
		this.history = new History(this.#database);
		this.declarations = new Declarations(this.#database);
		this.#now = options.now ?? Date.now;
		this.#controlListeners = options.controlListeners ?? (() => []);
		this.#allowLocalGates = options.allowLocalGates ?? false;
		this.#state = this.#load([]);
	}

	/** For the other stores in this file; written only inside `atomically`. */
	get database(): StateDatabase {
		return this.#database;
	}

	/**
	 * Several changes as one durable transaction: all are there after it, or none. Each change is planned on `current`,
	 * which stays as it was until the end: change one thing once. A throw inside leaves nothing.
	 */
	atomically<T>(change: () => T): T {
		if (this.#change !== null) return change();
		const made: Written = { state: false, resources: null };
		this.#change = made;
		let result: T;
		try {
			result = this.#database.transaction(change);
		} finally {
			this.#change = null;
		}
		if (made.state) this.#committed(made.resources);
		return result;
	}

	/** The newest state, as of the last commit. */
	get current(): State {
		return this.#state;
	}

	/** Every resource with the text it was written in, sorted by kind and name. */
	get sources(): readonly StoredResource[] {
		return this.#stored;
	}

	get metricNames(): readonly MetricName[] {
		return metricNames(this.#state);
	}

	/** `after` −1 answers at once, whatever the revision. `signal` ends the wait early, with null. */
	async state(after: number, waitMs: number, signal?: AbortSignal): Promise<State | null> {
		if (this.#state.revision <= after && waitMs > 0 && !this.#closed) {
			await this.#waiters.wait(Math.min(waitMs, STATE_LONG_POLL_MS_MAX), signal);
		}
		return this.#state.revision <= after ? null : this.live;
	}

	/** `current`, and which Services are closed somewhere. */
	get live(): State {
		const closed = closedServices(this.proxies.proxies);
		return closed.length === 0 ? this.#state : { ...this.#state, closed };
	}

	/**
	 * Merges the documents into what is declared, by kind, namespace and name, checks the whole, and starts what is new.
	 * Applying what is already there changes nothing, not even the revision.
	 */
	apply(files: Change["files"], options: ApplyOptions): ApplyResult {
		return this.commit(this.changeSet({ files, deletions: [] }, options.nowMs), options);
	}

	/** Removes resources, all or none. @throws WeirError `not-found` */
	delete(deletions: readonly Target[], options: ApplyOptions): ApplyResult {
		return this.commit(this.changeSet({ files: [], deletions }, options.nowMs), options);
	}

	/** What a change would do; changes nothing. @throws WeirError `not-found` */
	changeSet(change: Change, nowMs: number): ChangeSet {
		const { resources, status } = this.#state;
		const current = {
			...{ stored: this.#stored, resources, status },
			controlListeners: this.#controlListeners(),
			allowLocalGates: this.#allowLocalGates,
			used: (kind: "name" | "salt", text: string) =>
				text.length > STATE_KEY_CHARS_MAX ? undefined : this.#database.used.get([kind, text]),
		};
		return changeSetOf(current, change, nowMs);
	}

	/** The change that goes back to a revision. @throws WeirError as `History.rollback` does */
	rollbackTo(to: number, scope: Scope): Change {
		return this.history.rollback(to, { revision: this.#state.revision, stored: this.#stored }, scope);
	}

	async decide(request: NewDecision & { readonly expectedRevision: number }): Promise<{
		readonly revision: number;
		readonly decision: Decision;
	}> {
		const { revision } = this.#state;
		if (request.expectedRevision !== revision) {
			throw new WeirError(
				"conflict",
				`the state is at revision ${revision}, the decision was made on ${request.expectedRevision}`,
				"read the state again and decide again",
			);
		}
		return this.#decide(request);
	}

	/** A person's verb, recorded like any decision. @param outcome made on the current status */
	act(
		name: string,
		by: string,
		atMs: number,
		outcome: Outcome,
	): { readonly revision: number; readonly decision: Decision } {
		return this.#decide({ experiment: name, by, atMs, input: null, outcome });
	}

	/** Decisions after the given sequence, oldest first. @throws WeirError `not-found` for a name never used. */
	decisions(experiment: string, after: number, limit: number): DecisionPage {
		const page = experiment.length > STATE_KEY_CHARS_MAX ? null : this.#log.page(experiment, after, limit);
		if (page === null || (page.decisions.length === 0 && this.#log.last(experiment) === 0)) {
			throw new WeirError("not-found", `no Experiment '${experiment.slice(0, STATE_KEY_CHARS_MAX)}'`);
		}
		return page;
	}

	/**
	 * The last decisions up to a moment that moved live traffic, newest first: one of them made the allocation that
	 * was live then, because Envoy applies a plan some time after its decision.
	 */
	moves(experiment: string, atMs: number): readonly Decision[] {
		return experiment.length > STATE_KEY_CHARS_MAX ? [] : this.#log.moves(experiment, atMs, TRAFFIC_CHANGES_SEARCHED);
	}

	/** A summary of the newest decision; null = none. */
	lastDecision(experiment: string): LastDecision | null {
		return lastDecisionIn(this.#log, experiment);
	}

	async keepPlan(version: string, table: PlanTable): Promise<void> {
		this.#plans.keep(version, table, this.#now());
	}

	async plan(version: string): Promise<PlanTable | null> {
		return version.length > STATE_KEY_CHARS_MAX ? null : this.#plans.get(version);
	}

	/** The plan that was stored last; null = none. */
	get newestPlan(): PlanTable | null {
		return this.#plans.newest();
	}

	async acknowledge(revision: number, atMs: number, closed: readonly string[] = []): Promise<void> {
		if (revision > this.#state.revision) {
			throw new WeirError("invalid-argument", `revision ${revision} is not yet made (${this.#state.revision} is)`);
		}
		const acknowledged = this.#database.counters.get("acknowledged") ?? -1;
		// The publisher repeats acknowledgements: only a new revision, or a Service that is no longer closed, needs a commit.
		if (revision < acknowledged || (revision === acknowledged && !this.#log.waits(revision))) return;
		const { experiments } = this.#state.resources;
		const held = experiments.filter((one) => closed.includes(serviceOf(one)));
		this.#database.transaction(() => writeAcknowledged(this.#database, this.#log, { revision, atMs, held }));
		this.#state = this.#load(null);
	}

	async reportProxies(proxies: readonly ProxyStatus[]): Promise<void> {
		const report = { reportedAtMs: this.#now(), proxies };
		this.#database.transaction(() => this.#database.proxies.putSync("report", report));
	}

	/** Undelivered rollback notifications, for each Experiment oldest first. */
	async pending(): Promise<readonly PendingNotification[]> {
		return this.#outbox.pending();
	}

	/** Rollback notifications that were dropped because GATE_OUTBOX_MAX waited. */
	get droppedNotices(): number {
		return this.#database.counters.get("droppedNotices") ?? 0;
	}

	async message(key: string): Promise<NotificationMessage | null> {
		return this.#outbox.message(key);
	}

	async delivered(key: string): Promise<void> {
		this.#outbox.delivered(key);
	}

	/** The publisher's last report. */
	get proxies(): ProxyReport {
		return this.#database.proxies.get("report") ?? { reportedAtMs: null, proxies: [] };
	}

	/** Ends all waits and releases the file for another process. */
	async close(): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		this.#waiters.wake();
		await this.#database.close();
	}

	/** Writes a change set that was made on `current`. */
	commit(changeSet: ChangeSet, { by, dryRun, nowMs, rolledBackTo = null }: ApplyOptions): ApplyResult {
		if (changeSet.problems.length > 0) return { outcome: "refused", problems: changeSet.problems };
		const bump = changeSet.changes.some((change) => change.change !== "unchanged");
		if (dryRun || (!bump && changeSet.upserts.length === 0)) {
			return { outcome: "applied", revision: this.#state.revision, changes: changeSet.changes };
		}
		const revision = this.#state.revision + (bump ? 1 : 0);
		this.atomically(() => {
			writeChangeSet(this.#database, this.#log, changeSet, { by, nowMs, revision });
			this.history.record({ revision, atMs: nowMs, by, rolledBackTo, changes: changeSet.changes }, this.#stored);
			this.#changed(changeSet.upserts);
		});
		return { outcome: "applied", revision, changes: changeSet.changes };
	}

	#decide(request: NewDecision): { readonly revision: number; readonly decision: Decision } {
		const experiment = this.experiment(request.experiment);
		const before = this.#statusOf(request.experiment);
		const { outcome, input } = request;
		// The decision did not see a later acknowledgement of its step: keep that time.
		const keepsStep = input !== null && outcome.status.stepStartedAtMs === input.status.stepStartedAtMs;
		const ends = isOver(outcome.status.phase) && !isOver(before.phase);
		const status = {
			...outcome.status,
			...(keepsStep ? { stepStartedAtMs: before.stepStartedAtMs } : {}),
			...(ends ? { endedAtMs: request.atMs } : {}),
		};
		const service = defaultChange(this.#state, experiment, outcome.defaultVariant);
		const bump = service !== null || !isDeepStrictEqual(status, before);
		const revision = this.#state.revision + (bump ? 1 : 0);
		const decision = this.atomically(() => {
			if (bump) writeDecided(this.#database, { experiment: request.experiment, status, service, revision });
			const made = this.#log.append(request, revision, before);
			this.#outbox.put(made, revision, rollbackNotices(made));
			if (bump) this.#changed(null);
			return made;
		});
		return { revision, decision };
	}

	/** @param resources that were written; null = none changed */
	#changed(resources: readonly StoredResource[] | null): void {
		if (this.#change === null) throw new WeirError("internal", "a change outside of a transaction");
		this.#change.state = true;
		if (resources !== null) this.#change.resources = [...(this.#change.resources ?? []), ...resources];
	}

	/** @throws WeirError `not-found`. */
	experiment(name: string): Experiment {
		const found = this.#state.resources.experiments.find((one) => qualifiedName(one.metadata) === name);
		if (found !== undefined) return found;
		throw new WeirError("not-found", `no Experiment '${name.slice(0, STATE_KEY_CHARS_MAX)}'`, "see weir status");
	}

	#statusOf(name: string) {
		const status = this.#state.status.experiments[name];
		if (status === undefined) throw new WeirError("internal", `Experiment '${name}' has no status`);
		return status;
	}

	#committed(written: readonly StoredResource[] | null): void {
		this.#state = this.#load(written);
		this.#waiters.wake();
	}

	#load(written: readonly StoredResource[] | null): State {
		if (written !== null) this.#stored = storedIn(this.#database, this.#stored);
		const resources = written !== null ? sortedSet(this.#stored.map((one) => one.resource)) : this.#state.resources;
		return { ...stateIn(this.#database), resources };
	}
}
