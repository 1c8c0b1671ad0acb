/** A person's verb in the store alone, without its rights and approvals. */
import { type PersonRequest, personOutcome } from "../../src/operate/approvals/personRequest.js";
import type { Store } from "../../src/operate/state/store/store.js";

export function actOn(store: Store, experiment: string, request: PersonRequest): ReturnType<Store["act"]> {
	const outcome = personOutcome(store.current, store.experiment(experiment), request);
	return store.act(experiment, request.by, request.nowMs, outcome);
}
