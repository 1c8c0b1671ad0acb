/**
 * Many requests over a few HTTP/2 connections to the Gateway: a bounded number or until stopped, with a fixed number in
 * progress. Every answer is reported; a broken stream counts as an answer with status 0.
 */
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Caller, ServiceName } from "../failure/stage.js";

export interface FloodRequest {
	readonly service: ServiceName;
	readonly who: Caller;
}

export interface FloodAnswer extends FloodRequest {
	/** 0 = the stream broke. */
	readonly status: number;
	readonly variant: string | null;
	readonly tookMs: number;
}

export interface FloodOptions {
	readonly connect: (who: Caller) => Promise<Socket>;
	/** The next request; null = no more. */
	readonly next: () => FloodRequest | null;
	/** Requests open at any time, of all callers together. */
	readonly open: number;
	/** The pause between an answer and the next request; none by default. */
	readonly betweenMs?: number;
	/** For each caller. */
	readonly connections?: number;
	readonly answered: (answer: FloodAnswer) => void;
}

/** Resolves when all answers have come. */
export async function flood({
	connect: open,
	next,
	open: width,
	connections = 4,
	betweenMs = 0,
	answered,
}: FloodOptions): Promise<void> {
	const sessions = new Map<string, ClientHttp2Session>();
	const sessionOf = async (who: Caller, index: number): Promise<ClientHttp2Session> => {
		const key = `${who} ${index}`;
		const found = sessions.get(key);
		if (found !== undefined && !found.closed && !found.destroyed) return found;
		const socket = await open(who);
		const session = connect("http://gateway.test", { createConnection: () => socket });
		session.on("error", () => {});
		sessions.set(key, session);
		return session;
	};
	const worker = async (index: number): Promise<void> => {
		for (let request = next(); request !== null; request = next()) {
			const session = await sessionOf(request.who, index % connections);
			const startMs = performance.now();
			const head = await answerOf(session, request.service);
			answered({
				...request,
				status: Number(head?.[":status"] ?? 0),
				variant: (head?.["x-variant"] as string | undefined) ?? null,
				tookMs: performance.now() - startMs,
			});
			if (betweenMs > 0) await pause(betweenMs);
		}
	};
	// One after the other, so that no two open the same connection.
	for (const who of ["alice", "mallory"] as const)
		for (let index = 0; index < connections; index++) await sessionOf(who, index);
	await Promise.all(Array.from({ length: width }, (_, index) => worker(index)));
	for (const session of sessions.values()) session.close();
}

/** null = the stream broke. */
function answerOf(session: ClientHttp2Session, service: ServiceName): Promise<IncomingHttpHeaders | null> {
	return new Promise((resolve) => {
		const stream = session.request({
			":method": "GET",
			":path": "/",
			":scheme": "https",
			":authority": `${service}.test`,
		});
		let head: IncomingHttpHeaders | null = null;
		stream.once("response", (headers) => {
			head = headers;
		});
		stream.on("error", () => {});
		stream.once("close", () => resolve(head));
		stream.resume();
		stream.end();
	});
}
