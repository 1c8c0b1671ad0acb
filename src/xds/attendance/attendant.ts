/**
 * The keeper's side: attends at control's door for as long as its Envoy runs, and answers what control asks. A closed set of
 * questions (service.ts); who answers them is given. Control may go and come again.
 */
import { type ChannelCredentials, makeClientConstructor, type ServiceError, status } from "@grpc/grpc-js";
import type { EnvoyReach } from "../../access/bypass/reach.js";
import type { Question as QuestionMessage } from "../../gen/weir/probe/v1/attendance_pb.js";
import {
	ATTENDANCE_KEEPALIVE_ANSWER_MS,
	ATTENDANCE_KEEPALIVE_MS,
	ATTENDANCE_QUESTION_BYTES_MAX,
	ATTENDANCE_RETRY_MS,
	ATTENDANCE_RETRY_MS_MAX,
} from "../../limits.js";
import { Answering, type AttendedCall } from "./answering.js";
import { AttendanceServiceDefinition, writeSaid } from "./service.js";

const Client = makeClientConstructor(AttendanceServiceDefinition, "Attendance");

export interface AttendantOptions {
	/** HOST:PORT of control's xDS. */
	readonly target: string;
	/** Who it is, and whom it believes. */
	readonly credentials: ChannelCredentials;
	/** `node.id` of the Envoy. */
	readonly node: string;
	/** Another one for each process. */
	readonly keeper: string;
	/** How that Envoy is asked: what it does not allow is not done. */
	readonly reach: Pick<EnvoyReach, "admin" | "through">;
	/** Told why control does not take it, whenever that is another reason. */
	readonly onRefused?: (why: string) => void;
}

export class Attendant {
	readonly #options: AttendantOptions;
	readonly #client: InstanceType<typeof Client>;
	#call: AttendedCall | null = null;
	#timer: NodeJS.Timeout | null = null;
	#retryMs = ATTENDANCE_RETRY_MS;
	#closed = false;
	#why = "";

	constructor(options: AttendantOptions) {
		this.#options = options;
		this.#client = new Client(options.target, options.credentials, {
			"grpc.keepalive_time_ms": ATTENDANCE_KEEPALIVE_MS,
			"grpc.keepalive_timeout_ms": ATTENDANCE_KEEPALIVE_ANSWER_MS,
			"grpc.initial_reconnect_backoff_ms": ATTENDANCE_RETRY_MS,
			"grpc.max_reconnect_backoff_ms": ATTENDANCE_RETRY_MS_MAX,
			"grpc.max_receive_message_length": ATTENDANCE_QUESTION_BYTES_MAX,
			// Control is asked directly.
			"grpc.enable_http_proxy": 0,
			// Who it is says its SPIFFE id: SNI is a name (RFC 6066), and Node warns of an address.
			"grpc.ssl_target_name_override": "control",
		});
		this.#attend();
	}

	close(): void {
		this.#closed = true;
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#call?.cancel();
		this.#client.close();
	}

	#attend(): void {
		const { node, keeper } = this.#options;
		const call = this.#client.attend?.() as AttendedCall;
		this.#call = call;
		const answering = new Answering(call, this.#options.reach);
		let over = false;
		const end = (error: ServiceError | null): void => {
			if (over || this.#closed) return;
			over = true;
			answering.end();
			const refused = error !== null && REFUSALS.has(error.code) ? error.details : "";
			if (refused !== "" && refused !== this.#why) this.#options.onRefused?.(refused);
			this.#why = refused;
			this.#timer = setTimeout(() => this.#attend(), this.#retryMs).unref();
			this.#retryMs = Math.min(2 * this.#retryMs, ATTENDANCE_RETRY_MS_MAX);
		};
		call.on("data", (question: QuestionMessage) => {
			this.#retryMs = ATTENDANCE_RETRY_MS;
			this.#why = "";
			answering.take(question);
		});
		call.on("error", end);
		call.on("end", () => end(null));
		call.write(writeSaid({ kind: "hello", node, keeper }));
	}
}

/** What no waiting mends. */
const REFUSALS: ReadonlySet<number> = new Set([
	status.PERMISSION_DENIED,
	status.UNAUTHENTICATED,
	status.RESOURCE_EXHAUSTED,
	status.UNIMPLEMENTED,
]);
