/** Ends HTTP/2 sessions before the certificate of their peer ends. */
import type { Http2Session, ServerHttp2Session } from "node:http2";
import type { TLSSocket } from "node:tls";
import { type ProofTimes, proofTimes } from "../../../trust/tls/connectionLimits.js";

/** For mTLS sessions; UNIX sockets have no certificates. */
export class Proofs {
	readonly #times = new WeakMap<Http2Session, ProofTimes>();

	opened(session: ServerHttp2Session): void {
		if (session.encrypted) this.#times.set(session, proofTimes(session.socket as TLSSocket, Date.now()));
	}

	/** Closes a session gracefully when its certificate ends soon: open calls finish, and the peer reconnects. */
	endOld(session: ServerHttp2Session): void {
		if (this.#isPast(session, "oldAtMs") && !session.closed) session.close();
	}

	/** Whether a new call is too late; then the session is closed gracefully too. */
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
