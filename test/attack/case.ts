/** One attack: its client, its bytes, and the required outcome in every execution. */
import type { Received } from "./scene.js";

export interface Attack {
	/** CVE, advisory or row of the measured table (`T-…`): the name of the test. */
	readonly id: string;
	readonly what: string;
	/** alice by default. */
	readonly who?: string;
	readonly bytes: Buffer;
	/** Statuses that are right, for the first answer; 0 = closed without an answer. */
	readonly status: readonly number[];
	/** Requests that may reach the upstream. */
	readonly reach: number;
	/** What is wrong with what reached it; null = nothing. */
	readonly wrong?: (received: readonly Received[], text: string) => string | null;
}

export const headersNamed = (request: Received | undefined, name: string): readonly string[] =>
	(request?.headers ?? []).filter(([key]) => key === name).map(([, value]) => value);

/** The attack must find no upstream, and answers 403. */
export const forbidden = (id: string, what: string, bytes: Buffer, who = "alice"): Attack => ({
	id,
	what,
	who,
	bytes,
	status: [403],
	reach: 0,
});

/** Envoy's codec must refuse it. */
export const refused = (id: string, what: string, bytes: Buffer, status: readonly number[] = [400]): Attack => ({
	id,
	what,
	bytes,
	status,
	reach: 0,
});

/** It passes, and what the upstream gets of it is harmless. */
export const disarmed = (id: string, what: string, bytes: Buffer, wrong: NonNullable<Attack["wrong"]>): Attack => ({
	id,
	what,
	bytes,
	status: [200],
	reach: 1,
	wrong,
});
