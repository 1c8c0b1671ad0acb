/** One row of the failure matrix at a time: what each Service answers, what its Variants see, what counts and is logged. */
import type { Test } from "tap";
import type { CalloutProtocol } from "../../src/compile/plan/compiledPlan.js";
import { type FailureCase, PASSED, SPURIOUS } from "./cases.js";
import { idOf, SERVICES, type ServiceName, type Stage, variantOf } from "./stage.js";

interface Expected {
	readonly id: string;
	readonly what: string;
	readonly failure: FailureCase;
	readonly refused: boolean;
}

export interface Around {
	readonly before?: () => Promise<void>;
	readonly during?: () => Promise<void>;
}

export class Matrix {
	readonly #logged: Expected[] = [];

	constructor(
		private readonly stage: Stage,
		private readonly protocol: CalloutProtocol,
	) {}

	/**
	 * While this holds: `guarded` and `strict` answer 503 and no upstream gets the request; `assigned` goes to its default
	 * Variant; the counters of the case move.
	 * @param around done before the requests are sent, and while they are open
	 */
	async fails(t: Test, failure: FailureCase, what: string, around: Around = {}): Promise<void> {
		const { stage, protocol } = this;
		const { counters } = failure.signs[protocol];
		for (const own of [["guarded", "strict"], ["assigned"]] as const) {
			const names = own as readonly ServiceName[];
			const refused = names.length > 1 || failure.refusesAll === true;
			const watched = names.length > 1 ? counters : refused ? [] : [PASSED[protocol]];
			const before = await Promise.all(watched.map((name) => stage.envoy.stat(name)));
			const seen = names.map((name) => stage.seen(name));
			await around.before?.();
			const asked = Promise.all(names.map((name) => stage.ask(name)));
			await around.during?.();
			const answers = await asked;
			for (const [index, name] of names.entries()) {
				const answer = answers[index];
				if (answer === undefined) throw new Error("no answer");
				t.equal(answer.status, refused ? 503 : 200, `${what}: ${name}`);
				if (!refused) t.equal(variantOf(answer), "v1", `${what}: ${name} by its default Variant`);
				t.equal(stage.seen(name) - (seen[index] ?? 0), refused ? 0 : 1, `${what}: what the upstream of ${name} saw`);
				this.#logged.push({ id: idOf(answer), what: `${what}: ${name}`, failure, refused });
			}
			// Envoy cannot know that a call that ended well said nothing: then no counter speaks of those that passed.
			if (names.length === 1 && this.#endedWell(failure)) continue;
			const after = await Promise.all(watched.map((name) => stage.envoy.stat(name)));
			for (const [index, name] of watched.entries())
				t.ok((after[index] ?? 0) > (before[index] ?? 0), `${what}: ${name} moves`);
		}
	}

	/** Every Service answers as it should, and a caller without a right is refused. */
	async works(t: Test, what: string): Promise<void> {
		const { stage } = this;
		for (const name of SERVICES) {
			const answer = await stage.ask(name);
			t.equal(answer.status, 200, `${what}: ${name} works`);
			t.equal(variantOf(answer), name === "guarded" ? "v1" : "v2", `${what}: ${name} is assigned`);
		}
		const seen = stage.seen("guarded");
		t.equal((await stage.ask("guarded", "mallory")).status, 403, `${what}: mallory is judged`);
		t.equal(stage.seen("guarded"), seen);
	}

	/** Ends Envoy and looks at its access log. */
	async logged(t: Test): Promise<void> {
		const log = await this.stage.log();
		for (const { id, what, failure, refused } of this.#logged) {
			const line = log.get(id);
			const { details, flags } = failure.signs[this.protocol];
			if (refused) {
				t.match(line?.details, details, `${what}: details`);
				t.equal(line?.flags, flags, `${what}: flags`);
			} else {
				t.equal(line?.details, "via_upstream", what);
			}
			// Of an answer that was not asked for, Envoy keeps the metadata and nothing else.
			if (!refused && failure !== SPURIOUS) t.equal(line?.metadata, null, `${what}: no word of the sidecar`);
		}
	}

	#endedWell({ signs }: FailureCase): boolean {
		return signs[this.protocol].details.source.includes("unanswered");
	}
}
