/** The TokenQuestion of a Question; costly fields are computed when they are read. */
import type { TokenQuestion } from "../../compile/access/users/token.js";
import type { Forwarded, Question } from "./question.js";

export class TokenAsked implements TokenQuestion {
	readonly #question: Question;
	readonly #forwarded: Forwarded | null;

	/** @param forwarded the client, if the peer is a trusted proxy */
	constructor(
		question: Question,
		readonly authorization: readonly string[],
		forwarded: Forwarded | null,
		readonly neverAllowed: () => boolean,
	) {
		this.#question = question;
		this.#forwarded = forwarded;
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
		// The proxy's certificate does not authenticate its client.
		return this.#forwarded === null ? this.#question.certificateThumbprint : this.#forwarded.certificateThumbprint;
	}

	get payer(): string {
		return this.#forwarded?.principal ?? this.#question.principal ?? this.#question.sourceAddress ?? "";
	}
}
