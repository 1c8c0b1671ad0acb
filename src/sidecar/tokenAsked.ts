/** The question for the token's verdict, out of the sidecar's own: what costs something is made when it is read. */
import type { TokenQuestion } from "../access/token.js";
import type { Question } from "./question.js";

export class TokenAsked implements TokenQuestion {
	readonly #question: Question;

	constructor(
		question: Question,
		readonly authorization: readonly string[],
	) {
		this.#question = question;
	}

	get gateway(): string | null {
		return this.#question.gateway;
	}

	get dpop(): readonly string[] {
		return this.#question.headerValues("dpop");
	}

	get method(): string {
		return this.#question.method;
	}

	get url(): string {
		const { secure, host, path } = this.#question;
		return `${secure ? "https" : "http"}://${host}${path.replace(/[?#].*$/s, "")}`;
	}

	get certificateThumbprint(): string | null {
		return this.#question.certificateThumbprint;
	}

	get payer(): string {
		return this.#question.principal ?? this.#question.sourceAddress ?? "";
	}
}
