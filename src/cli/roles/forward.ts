/**
 * Passes a request of the public API on to the role that owns it, over that role's UNIX socket, in the name of the
 * caller that the API has proved. What is passed on is written anew and never copied: our own framing, the headers
 * that owners read and no others, and a connection of its own, so that nothing which one caller sends can be read as
 * another request (RFC 9112 section 11.2).
 */
import {
	Agent,
	type ClientRequest,
	type IncomingHttpHeaders,
	type IncomingMessage,
	type OutgoingHttpHeaders,
	type RequestOptions,
	request,
	type ServerResponse,
} from "node:http";
import { finished, pipeline, Transform } from "node:stream";
import { WeirError } from "../../error.js";
import { NAMESPACES_HEADER, namespacesWord } from "../../events/decisions/readNamespaces.js";
import { CALLER_HEADER, callerWord } from "../../events/outcomes/sender.js";
import {
	API_BODY_PART_BYTES,
	API_BODY_PART_MS,
	API_FORWARDED_AT_ONCE_MAX,
	API_FORWARDED_OF_OWNER_MAX,
	API_FORWARDED_OF_SUBJECT_MAX,
} from "../../limits.js";
import { Bodies, type Intake, TryAgain, tooSlow } from "../../state/api/bodies.js";
import { demandNoBody, sendError } from "../../state/api/http.js";
import type { Handle } from "../../state/api/mount.js";
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
 */
export function forwardTo(socketPath: string, role: string, bodies = new Bodies()): Handle {
	const forOwner = new Agent({ keepAlive: false, maxSockets: API_FORWARDED_OF_OWNER_MAX });
	const forOthers = new SubjectsAgent();
	return (call, answer, caller, readable) => {
		const hasBody = call.method === "POST";
		if (!hasBody) demandNoBody(call);
		const headers: OutgoingHttpHeaders = {
			...asked(call),
			[CALLER_HEADER]: callerWord(caller.subject),
			...(readable === undefined ? {} : { [NAMESPACES_HEADER]: namespacesWord(readable) }),
		};
		// Whatever length the client has told: chunks cannot say another than what comes.
		if (hasBody) headers["transfer-encoding"] = "chunked";
		const isOwner = caller.how === "socket";
		if (!isOwner && forOthers.connections >= API_FORWARDED_AT_ONCE_MAX)
			throw new TryAgain("unavailable", `${role} is asked by too many at once`, "try again");
		const agent = isOwner ? forOwner : forOthers;
		const { subject } = caller;
		const onward = request({ socketPath, path: call.url, method: call.method, headers, agent, subject } as Onward);
		// A connection that others use next would give them what is left on it.
		onward.shouldKeepAlive = false;
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
			refuse(new WeirError("unavailable", `${role} does not answer`, hint));
		});
		onward.once("response", (response) => {
			// Who answers before the end of the body does not want the rest, which is no next request.
			const early = !call.complete;
			if (early) answer.setHeader("connection", "close");
			stop();
			answer.writeHead(response.statusCode ?? 502, endToEnd(response.headers));
			if (early) {
				answerEarly(call, response, answer);
				// Its place is the next one's: what is left of the body goes nowhere.
				response.once("end", () => onward.destroy());
				return;
			}
			// From here on its pipeline ends what is left.
			answer.off("close", gone);
			pipeline(response, answer, () => undefined);
		});
		answer.once("close", gone);
		if (hasBody) {
			// Before there is a part of it: the owner may refuse whoever sends it, and need not wait.
			onward.flushHeaders();
			stop = passBody(call, onward, bodies.begin(caller, answer), refuse);
		} else onward.end();
	};
}

interface Onward extends RequestOptions {
	readonly subject: string;
}

/** Bounds how many connections each subject has at once; what is beyond waits behind its own. */
class SubjectsAgent extends Agent {
	constructor() {
		super({ keepAlive: false, maxSockets: API_FORWARDED_OF_SUBJECT_MAX });
	}

	/** Node's own name of whose connections are bounded together; all lead to one socket. */
	override getName({ subject }: Onward): string {
		return subject;
	}

	get connections(): number {
		return Object.values(this.sockets).reduce((sum, some) => sum + (some?.length ?? 0), 0);
	}
}

/** Passes on an answer that came before the end of the body. It ends after both; one that is cut is cut at once. */
function answerEarly(call: IncomingMessage, response: IncomingMessage, answer: ServerResponse): void {
	const bodyIsOver = new Promise<void>((resolve) => afterUnreadBody(call, resolve));
	finished(response, (fault) => {
		if (fault == null) void bodyIsOver.then(() => answer.end());
		else answer.destroy();
	});
	response.pipe(answer, { end: false });
}

/** @returns what ends it before its time */
function passBody(
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
	const timer = setTimeout(() => refuse(tooSlow(intake.ms)), intake.ms);
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
