/**
 * Passes a request of the public API on to the role that owns it, over that role's UNIX socket, in the name of the
 * caller that the API has proved. What is passed on is written anew and never copied: our own framing, the headers
 * that owners read and no others, and a connection of its own, so that nothing which one caller sends can be read as
 * another request (RFC 9112 section 11.2).
 */
import {
	type ClientRequest,
	type IncomingHttpHeaders,
	type IncomingMessage,
	type OutgoingHttpHeaders,
	request,
	type ServerResponse,
} from "node:http";
import { finished, Transform } from "node:stream";
import { WeirError } from "../../error.js";
import { NAMESPACES_HEADER, namespacesWord } from "../../events/decisions/readNamespaces.js";
import { CALLER_HEADER, callerWord } from "../../events/outcomes/sender.js";
import {
	API_BODY_PART_BYTES,
	API_BODY_PART_MS,
	API_FORWARDED_AT_ONCE_MAX,
	API_FORWARDED_OF_OWNER_MAX,
	API_FORWARDED_OF_SUBJECT_MAX,
	API_FORWARDED_WAIT_MS,
	API_FORWARDED_WAIT_MS_MAX,
} from "../../limits.js";
import { Bodies, type Intake, TryAgain, tooSlow } from "../../state/api/bodies.js";
import { demandNoBody, sendError } from "../../state/api/http.js";
import type { Handle } from "../../state/api/mount.js";
import { NotPassedOn } from "../../state/api/underWay.js";
import { Turns, whileOpen } from "../../turns.js";
import { afterUnreadBody } from "../../unreadBody.js";

/** What owners read of a request, beside the attributes of a CloudEvent in binary mode (`ce-NAME`). */
const PASSED_ON = new Set(["content-type", "content-encoding", "idempotency-key"]);

/** Headers of an answer that belong to one hop (RFC 9110 section 7.6.1). */
const HOP_BY_HOP = new Set([
	"connection",
	"keep-alive",
	"proxy-connection",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
]);

/**
 * The body of a POST goes on, in chunks; of any other method one is refused before anything is sent.
 * @param bodies what they may take of the owner's memory, which keeps each until it has answered
 * @returns what throws NotPassedOn where its turn does not come in time
 */
export function forwardTo(socketPath: string, role: string, bodies = new Bodies()): Handle {
	const others = new Turns({
		...BOUND_AT_THE_DOOR,
		atOnce: API_FORWARDED_AT_ONCE_MAX,
		atOncePerSubject: API_FORWARDED_OF_SUBJECT_MAX,
		waitMs: API_FORWARDED_WAIT_MS,
		// Nothing is read of a body that waits, and so not noticed that its sender has gone.
		waitMsMax: API_FORWARDED_WAIT_MS_MAX,
		refusal: () => new NotPassedOn(role, others.underWay),
	});
	const owners = new Turns({
		...BOUND_AT_THE_DOOR,
		atOnce: API_FORWARDED_OF_OWNER_MAX,
		refusal: () => new NotPassedOn(role, owners.underWay),
	});
	return async (call, answer, caller, readable) => {
		const { method, url } = call;
		const hasBody = method === "POST";
		if (!hasBody) demandNoBody(call);
		const headers: OutgoingHttpHeaders = {
			...asked(call),
			[CALLER_HEADER]: callerWord(caller.subject),
			...(readable === undefined ? {} : { [NAMESPACES_HEADER]: namespacesWord(readable) }),
		};
		// Whatever length the client has told: chunks cannot say another than what comes.
		if (hasBody) headers["transfer-encoding"] = "chunked";
		const turns = caller.how === "socket" ? owners : others;
		const over = whileOpen(answer);
		await turns.take(caller.subject, over, () => {
			// A connection of its own: one that others use next would give them what is left on it.
			const onward = request({ socketPath, path: url, method, headers, agent: false });
			// Its body is read from here on, and its time begins: while it waits for its turn it is not slow.
			passOn({ role, onward, call, answer, over, intake: hasBody ? bodies.begin(caller, answer) : null });
			return new Promise<void>((resolve) => onward.once("close", resolve));
		});
	};
}

/** How many may wait: one of each connection, of API_CONNECTIONS_MAX, and API_REQUESTS_PER_SUBJECT_MAX of each subject. */
const BOUND_AT_THE_DOOR = { perSubject: Number.POSITIVE_INFINITY, waiting: Number.POSITIVE_INFINITY };

interface Passage {
	readonly role: string;
	readonly onward: ClientRequest;
	readonly call: IncomingMessage;
	readonly answer: ServerResponse;
	/** Aborts when the answer has ended, or its client has gone. */
	readonly over: AbortSignal;
	/** null = there is no body. */
	readonly intake: Intake | null;
}

function passOn({ role, onward, call, answer, over, intake }: Passage): void {
	let stop = (): void => undefined;
	const gone = (): void => {
		stop();
		onward.destroy();
	};
	const refuse = (why: WeirError): void => {
		gone();
		sendError(answer, why);
	};
	onward.on("error", () => {
		// An answer that was cut is cut for the client where it is passed on.
		if (answer.headersSent) return;
		const hint = "it is restarted by itself under `weir up`; try again";
		refuse(new TryAgain("unavailable", `${role} does not answer`, hint));
	});
	onward.once("response", (response) => {
		// Who answers before the end of the body does not want the rest, which is no next request.
		const early = !call.complete;
		if (early) answer.setHeader("connection", "close");
		stop();
		answer.writeHead(response.statusCode ?? 502, endToEnd(response.headers));
		const bodyIsOver = early ? new Promise<void>((resolve) => afterUnreadBody(call, resolve)) : null;
		passAnswer(response, answer, bodyIsOver);
	});
	over.addEventListener("abort", gone, { once: true });
	if (intake === null) onward.end();
	else {
		// Before there is a part of it: the owner may refuse whoever sends it, and need not wait.
		onward.flushHeaders();
		stop = passBody(role, call, onward, intake, refuse);
	}
}

/**
 * One that is cut is cut at once.
 * @param bodyIsOver where it came before the end of the body, after which alone it ends
 */
function passAnswer(response: IncomingMessage, answer: ServerResponse, bodyIsOver: Promise<void> | null): void {
	finished(response, (fault) => {
		if (fault != null) answer.destroy();
		else if (bodyIsOver === null) answer.end();
		else void bodyIsOver.then(() => answer.end());
	});
	response.pipe(answer, { end: false });
}

/** @returns what ends it before its time */
function passBody(
	role: string,
	call: IncomingMessage,
	onward: ClientRequest,
	intake: Intake,
	refuse: (why: WeirError) => void,
): () => void {
	const through = gathered(intake);
	const stop = (): void => {
		clearTimeout(timer);
		call.unpipe(through);
		through.destroy();
	};
	// Where the owner takes nothing the sender may have sent it all.
	const late = (): WeirError =>
		onward.writableNeedDrain
			? new TryAgain("unavailable", `${role} did not take the body within ${intake.ms / 1_000} s`, "try again")
			: tooSlow(intake.ms);
	const timer = setTimeout(() => refuse(late()), intake.ms);
	through.once("error", (why) => refuse(WeirError.from(why)));
	call.once("end", () => clearTimeout(timer));
	call.pipe(through).pipe(onward);
	return stop;
}

/**
 * What its sender cuts into parts of a byte would cost the owner some hundred bytes for each. The first goes on as it
 * comes, and no other waits for long, so that the owner can answer before the rest.
 */
function gathered(intake: Intake): Transform {
	let parts: Buffer[] = [];
	let size = API_BODY_PART_BYTES;
	let due: NodeJS.Timeout | undefined;
	const whole = (): Buffer => {
		clearTimeout(due);
		due = undefined;
		const made = Buffer.concat(parts);
		parts = [];
		size = 0;
		return made;
	};
	const through = new Transform({
		transform(part: Buffer, _, done) {
			try {
				intake.take(part.length);
			} catch (thrown) {
				done(WeirError.from(thrown));
				return;
			}
			parts.push(part);
			size += part.length;
			if (size >= API_BODY_PART_BYTES) return done(null, whole());
			due ??= setTimeout(() => through.push(whole()), API_BODY_PART_MS);
			done();
		},
		flush: (done) => done(null, parts.length === 0 ? undefined : whole()),
		destroy(error, done) {
			clearTimeout(due);
			done(error);
		},
	});
	return through;
}

function asked({ headers }: IncomingMessage): OutgoingHttpHeaders {
	// What the client says is for this hop alone.
	const here = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
	const isPassedOn = (name: string): boolean => !here.has(name) && (PASSED_ON.has(name) || name.startsWith("ce-"));
	return Object.fromEntries(Object.entries(headers).filter(([name]) => isPassedOn(name)));
}

function endToEnd(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
	return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name)));
}
