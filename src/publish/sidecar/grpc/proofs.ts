/** How long the certificates count by which the peers of HTTP/2 connections proved who they are. */
import type { Http2Session, ServerHttp2Session } from "node:http2";
import type { TLSSocket } from "node:tls";
import { type ProofTimes, proofTimes } from "../../../trust/tls/tlsDoor.js";

/** Of sessions by mTLS; those of a UNIX socket have none and never end for it. */
export class Proofs {
	readonly #times = new WeakMap<Http2Session, ProofTimes>();

	opened(session: ServerHttp2Session): void {
		if (session.encrypted) this.#times.set(session, proofTimes(session.socket as TLSSocket, Date.now()));
	}

	/** Ends a session in order whose certificate ends soon: what is open on it is finished, and the peer opens the next one. */
	endOld(session: ServerHttp2Session): void {
		if (this.#isPast(session, "oldAtMs") && !session.closed) session.close();
	}

	/** Whether a new call comes too late; its session is then ended in order too. */
	hasEnded(session: Http2Session | undefined): boolean {
		if (session === undefined || !this.#isPast(session, "endsAtMs")) return false;
		if (!session.closed) session.close();
		return true;
	}

	#isPast(session: Http2Session, time: keyof ProofTimes): boolean {
		const times = this.#times.get(session);
		return times !== undefined && times[time] <= Date.now();
	}
}
