/** Counts the answers of a flood, and finds forbidden ones. */
import type { Stage } from "../failure/stage.js";
import type { FloodAnswer } from "./flood.js";

export class Tally {
	readonly #counts = new Map<string, number>();
	readonly #wrong = new Map<string, number>();
	#slowestMs = 0;

	/** @param seenBefore the earlier requests at the Variants of `guarded` */
	constructor(
		private readonly stage: Stage,
		private readonly seenBefore = stage.seen("guarded"),
	) {}

	add({ service, who, status, variant, tookMs }: FloodAnswer): void {
		const what = `${service} ${who} ${status}${variant === null ? "" : ` ${variant}`}`;
		this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
		this.#slowestMs = Math.max(this.#slowestMs, tookMs);
		if (!allowed(service, who, status, variant)) this.#wrong.set(what, (this.#wrong.get(what) ?? 0) + 1);
	}

	/** The number of answers that begin with this text. */
	count(what: string): number {
		return [...this.#counts].filter(([key]) => key.startsWith(what)).reduce((sum, [, count]) => sum + count, 0);
	}

	get slowestMs(): number {
		return this.#slowestMs;
	}

	/** The violations, or none. The Variants of `guarded` must have got exactly the allowed requests. */
	broken(): readonly string[] {
		const seen = this.stage.seen("guarded") - this.seenBefore;
		const allowedToPass = this.count("guarded alice 200");
		return [
			...[...this.#wrong].map(([what, count]) => `${count} times ${what}`),
			...(seen === allowedToPass
				? []
				: [`the upstream of guarded saw ${seen} requests, ${allowedToPass} were allowed`]),
		];
	}

	text(): string {
		return [...this.#counts]
			.sort()
			.map(([what, count]) => `${what}: ${count}`)
			.join(", ");
	}
}

function allowed(service: string, who: string, status: number, variant: string | null): boolean {
	if (service === "guarded") return status === 503 || (who === "alice" ? status === 200 : status === 403);
	// Without the sidecar's answer v1 serves other clients; with it, v2.
	if (service === "assigned") return status === 200;
	return status === 503 || (status === 200 && variant === "v2");
}
