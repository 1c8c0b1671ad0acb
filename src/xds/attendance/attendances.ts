/**
 * Keepers of Envoys of other machines, who answer the built-in probe there: whom control takes, and which of them it asks. Each
 * speaks for the Envoy of its own SPIFFE id alone, and there is one for each id.
 */
import { status } from "@grpc/grpc-js";
import { type AdminPage, mostOf, type ProbeAnswer, type TakePart, unreadThere } from "../../access/bypass/reach.js";
import type { Attended } from "../../gen/weir/probe/v1/attendance_pb.js";
import { mayBeNode, type Peer, type RefusedFor } from "../peer.js";
import { Attendance, type AttendCall } from "./attendance.js";
import { type Question, readSaid } from "./service.js";

export interface AttendancesOptions {
	/** `id`: proved by mTLS; null = none was. */
	readonly onRefused: (reason: RefusedFor, id: string | null) => void;
	/** A keeper has come, or gone. */
	readonly onChange: (id: string) => void;
}

interface Keeper {
	/** Which process. */
	readonly keeper: string;
	readonly attendance: Attendance;
	readonly refuse: (code: status, details: string) => void;
}

export class Attendances {
	/** By SPIFFE id. */
	readonly #keepers = new Map<string, Keeper>();
	/** Streams that have said nothing yet, one for each id. */
	readonly #unsaid = new Map<string, AttendCall>();
	readonly #awaited = new Map<string, Set<() => void>>();

	constructor(private readonly options: AttendancesOptions) {}

	/** SPIFFE ids of Envoys that are attended. */
	get ids(): Iterable<string> {
		return this.#keepers.keys();
	}

	attends(id: string): boolean {
		return this.#keepers.has(id);
	}

	/** When it attends, or that time is over. */
	async awaited(id: string, ms: number): Promise<void> {
		if (this.attends(id)) return;
		const waiting = this.#awaited.get(id) ?? new Set();
		this.#awaited.set(id, waiting);
		await new Promise<void>((resolve) => {
			const done = (): void => {
				clearTimeout(timer);
				waiting.delete(done);
				if (waiting.size === 0) this.#awaited.delete(id);
				resolve();
			};
			const timer = setTimeout(done, ms).unref();
			waiting.add(done);
		});
	}

	/** As EnvoyAdmin.page, of that Envoy. */
	async page(id: string, page: AdminPage, take: TakePart): Promise<number> {
		const keeper = this.#keepers.get(id);
		if (keeper === undefined) throw unreadThere("unattended", mostOf(page));
		return keeper.attendance.page(page, take);
	}

	/** null = it could not be sent. Never rejects. */
	async probe(id: string, question: Extract<Question, { way: unknown }>): Promise<ProbeAnswer | null> {
		return this.#keepers.get(id)?.attendance.probe(question) ?? null;
	}

	/** @param gateways of the Envoy, as on its ADS stream: one without any has nothing to be probed */
	connect(call: AttendCall, peer: Peer, gateways: readonly string[] | null): void {
		const id = peer.kind === "owner" ? null : peer.id;
		const end = (code: status, details: string): void => {
			call.emit("error", { code, details });
		};
		const refuse = (reason: RefusedFor, code: status, details: string): void => {
			this.options.onRefused(reason, id);
			end(code, details);
		};
		if (peer.kind !== "envoy") {
			const details = "keepers of Envoys of other machines attend, each by the Envoy's own id";
			return void refuse("type", status.PERMISSION_DENIED, details);
		}
		if (gateways?.length === 0)
			return void refuse("no-gateway", status.PERMISSION_DENIED, "no Gateway is this Envoy's");
		this.#unsaid.get(peer.id)?.emit("error", { code: status.RESOURCE_EXHAUSTED, details: "another one came" });
		this.#unsaid.set(peer.id, call);
		let own: Keeper | null = null;
		let over = false;
		const leave = (): void => {
			if (over) return;
			over = true;
			if (this.#unsaid.get(peer.id) === call) this.#unsaid.delete(peer.id);
			own?.attendance.end();
			if (own !== null && this.#keepers.get(peer.id) === own) {
				this.#keepers.delete(peer.id);
				this.options.onChange(peer.id);
			}
			call.end();
		};
		const greet = (message: Attended): Keeper | null => {
			const said = readSaid(message);
			if (said?.kind !== "hello" || said.node === "" || !mayBeNode(peer, said.node)) {
				refuse("another-node", status.PERMISSION_DENIED, "node.id is not the client's own");
				return null;
			}
			const before = this.#keepers.get(peer.id);
			// Readings of two Envoys are not to be taken for those of one.
			if (before !== undefined && before.keeper !== said.keeper) {
				refuse("too-many", status.RESOURCE_EXHAUSTED, "another Envoy of this id is attended: give each its own");
				return null;
			}
			const hangs = (): void => end(status.DEADLINE_EXCEEDED, "it does not answer in time");
			const attendance = new Attendance(call, hangs);
			const keeper = { keeper: said.keeper, attendance, refuse: end };
			this.#unsaid.delete(peer.id);
			this.#keepers.set(peer.id, keeper);
			before?.refuse(status.ABORTED, "it attends by another stream");
			before?.attendance.end();
			for (const done of [...(this.#awaited.get(peer.id) ?? [])]) done();
			this.options.onChange(peer.id);
			return keeper;
		};
		call.on("data", (message: Attended) => {
			if (over) return;
			if (own === null) {
				own = greet(message);
				return;
			}
			try {
				const said = readSaid(message);
				if (said === null) throw new TypeError("it says nothing");
				own.attendance.take(said);
			} catch {
				end(status.INVALID_ARGUMENT, "that answers nothing which was asked");
			}
		});
		for (const event of ["end", "error", "cancelled", "close"]) call.on(event, leave);
	}

	close(): void {
		for (const { refuse } of [...this.#keepers.values()]) refuse(status.UNAVAILABLE, "the server is shutting down");
		for (const call of [...this.#unsaid.values()])
			call.emit("error", { code: status.UNAVAILABLE, details: "the server is shutting down" });
	}
}
