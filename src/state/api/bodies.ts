/**
 * Bodies of requests that are under way: what they may take of memory, of all callers together and of each, and how long
 * they may take to come. What came counts until its answer has gone, for its text and what is made of it live as long.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type ErrorCode, WeirError } from "../../error.js";
import {
	API_BODIES_BYTES_MAX,
	API_BODIES_BYTES_PER_SUBJECT_MAX,
	API_BODY_MS_MAX,
	API_BODY_PARTS_MAX,
} from "../../limits.js";
import type { Caller } from "./caller.js";

/** A refusal that the same request may not meet again: told with Retry-After (RFC 9110 section 10.2.3). */
export class TryAgain extends WeirError {
	constructor(
		code: Extract<ErrorCode, "unavailable" | "resource-exhausted">,
		message: string,
		hint: string,
		readonly afterSeconds = 1,
	) {
		super(code, message, hint);
	}
}

/** What one body may take. */
export interface Intake {
	/** From the first look at it to its end. */
	readonly ms: number;
	/** Before a part of it is kept. @throws TryAgain where there is no room; nothing is counted then */
	take(bytes: number): void;
}

/** Of Weir's own roles, which bound themselves. */
export const UNCOUNTED: Intake = { ms: API_BODY_MS_MAX, take: () => {} };

export interface BodyBounds {
	readonly bytes: number;
	readonly bytesPerSubject: number;
	readonly ms: number;
}

/** No subject is empty. */
const OWNER = "";

export class Bodies {
	readonly #bounds: BodyBounds;
	readonly #held = new Map<string, number>();
	/** But for the owner's. */
	#sum = 0;

	constructor(bounds: Partial<BodyBounds> = {}) {
		this.#bounds = {
			bytes: API_BODIES_BYTES_MAX,
			bytesPerSubject: API_BODIES_BYTES_PER_SUBJECT_MAX,
			ms: API_BODY_MS_MAX,
			...bounds,
		};
	}

	/**
	 * One more body, which counts until the end of its answer. The owner of the machine, by the UNIX socket, has as much
	 * as all others together, apart from theirs.
	 */
	begin({ how, subject }: Pick<Caller, "how" | "subject">, answer: ServerResponse): Intake {
		const key = how === "socket" ? OWNER : subject;
		let own = 0;
		let over = answer.destroyed;
		answer.once("close", () => {
			over = true;
			this.#add(key, -own);
		});
		return {
			ms: this.#bounds.ms,
			take: (bytes) => {
				if (over) throw endedEarly();
				this.#demandRoom(key, bytes);
				own += bytes;
				this.#add(key, bytes);
			},
		};
	}

	#demandRoom(key: string, bytes: number): void {
		const mine = (this.#held.get(key) ?? 0) + bytes;
		if (key !== OWNER && mine > this.#bounds.bytesPerSubject) {
			throw new TryAgain(
				"resource-exhausted",
				`${key} has bodies of more than ${this.#bounds.bytesPerSubject} bytes under way`,
				"send one after the other",
			);
		}
		if ((key === OWNER ? mine : this.#sum + bytes) > this.#bounds.bytes) {
			throw new TryAgain(
				"unavailable",
				"too many bodies of requests are under way",
				"try again; the UNIX socket's owner need not wait",
			);
		}
	}

	#add(key: string, bytes: number): void {
		const now = (this.#held.get(key) ?? 0) + bytes;
		if (now === 0) this.#held.delete(key);
		else this.#held.set(key, now);
		if (key !== OWNER) this.#sum += bytes;
	}
}

/**
 * The whole body, or why not: then the rest of it is not read.
 * @throws WeirError `invalid-argument` beyond `bytesMax` or cut short, `deadline-exceeded`, and what the intake throws
 */
export function readBytes(request: IncomingMessage, { ms, take }: Intake, bytesMax: number): Promise<Buffer> {
	return new Promise((resolve, reject) => {
		const tooLarge = () => new WeirError("invalid-argument", `the body is larger than ${bytesMax} bytes`, "split it");
		if (request.destroyed) throw endedEarly();
		if (Number(request.headers["content-length"] ?? 0) > bytesMax) throw tooLarge();
		const parts = new Parts();
		const end = (error: unknown = null): void => {
			clearTimeout(timer);
			request.off("data", onData).off("end", end).off("close", onClose).off("error", onClose);
			if (error === null) {
				resolve(parts.whole());
				return;
			}
			request.pause();
			reject(error);
		};
		const onData = (part: Buffer): void => {
			try {
				if (parts.bytes + part.length > bytesMax) throw tooLarge();
				take(part.length);
				parts.add(part);
			} catch (thrown) {
				end(thrown);
			}
		};
		const onClose = (): void => end(endedEarly());
		const timer = setTimeout(() => end(tooSlow(ms)), ms);
		request.on("data", onData).once("end", end).once("close", onClose).once("error", onClose);
	});
}

export function tooSlow(ms: number): WeirError {
	return new WeirError("deadline-exceeded", `the body did not end within ${ms / 1_000} s`, "send it in smaller parts");
}

function endedEarly(): WeirError {
	return new WeirError("invalid-argument", "the body ended early");
}

/** Small parts are put together: each by itself takes some hundred bytes beside what it holds. */
class Parts {
	bytes = 0;
	readonly #joined: Buffer[] = [];
	#newest: Buffer[] = [];

	add(part: Buffer): void {
		this.bytes += part.length;
		this.#newest.push(part);
		if (this.#newest.length < API_BODY_PARTS_MAX) return;
		this.#joined.push(Buffer.concat(this.#newest));
		this.#newest = [];
	}

	whole(): Buffer {
		return Buffer.concat([...this.#joined, ...this.#newest], this.bytes);
	}
}
