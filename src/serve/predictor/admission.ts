/** Limits concurrent inferences by number and body bytes. Overload is refused, never queued. */
import { PREDICTOR_BODY_BYTES_TOTAL_MAX } from "../../limits/index.js";

/** Complete inference requests (queued and running); more get 503 with Retry-After. */
const PREDICTOR_REQUESTS_MAX = 1_024;

export interface AdmissionBounds {
	readonly requests: number;
	readonly totalBytes: number;
}

export const ADMISSION_BOUNDS: AdmissionBounds = {
	requests: PREDICTOR_REQUESTS_MAX,
	totalBytes: PREDICTOR_BODY_BYTES_TOTAL_MAX,
};

export class Admission {
	readonly #bounds: AdmissionBounds;
	#requests = 0;
	#bytes = 0;

	constructor(bounds: AdmissionBounds) {
		this.#bounds = bounds;
	}

	get requests(): number {
		return this.#requests;
	}

	/** Whether an inference could be admitted now; if not, do not read its body. */
	get hasCapacity(): boolean {
		return this.#requests < this.#bounds.requests && this.#bytes < this.#bounds.totalBytes;
	}

	/** @returns the release function, to be called once; null = overloaded */
	admit(bytes: number): (() => void) | null {
		if (this.#requests >= this.#bounds.requests || this.#bytes + bytes > this.#bounds.totalBytes) return null;
		this.#requests++;
		this.#bytes += bytes;
		return () => {
			this.#requests--;
			this.#bytes -= bytes;
		};
	}
}
