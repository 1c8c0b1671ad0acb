/**
 * At whom a tick of the loop looks, and in which order: at each Experiment once, the namespaces in turn. A tick ends after its
 * time, of which each namespace has the same share and takes more where nobody else needs it; who was not reached comes first
 * in the next one. So one namespace's thousands keep no other's harm from being seen: who has few is looked at in each tick.
 */
import { type Experiment, namespaceOf, qualifiedName } from "../resources/resource.js";
import { NamespaceTurns } from "./namespaceTurns.js";

export class LookTurns {
	readonly #turns = new NamespaceTurns<Experiment>();

	/** @param clock milliseconds that no clock's setting moves */
	constructor(private readonly clock: () => number = () => performance.now()) {}

	/**
	 * One tick: what is done with each before the next one is asked for is its look, one of each namespace at the least.
	 * @param milliseconds about so long
	 * @param first names of those that come first of their namespaces
	 */
	*tick(
		experiments: readonly Experiment[],
		milliseconds: number,
		first: ReadonlySet<string> = new Set(),
	): Generator<Experiment> {
		const all = new Map(experiments.map((experiment) => [qualifiedName(experiment.metadata), experiment]));
		this.#turns.keepOnly((name) => all.has(name));
		for (const [name, experiment] of all) this.#turns.add(name, experiment);
		this.#turns.hasten(first);
		const share = milliseconds / this.#turns.namespaces.length;
		const tookMs = new Map<string, number>();
		const hasHadItsShare = (namespace: string): boolean => (tookMs.get(namespace) ?? Number.NEGATIVE_INFINITY) >= share;
		const fromMs = this.clock();
		const next = () =>
			this.#turns.next(hasHadItsShare) ?? (this.clock() - fromMs < milliseconds ? this.#turns.next() : null);
		for (let turn = next(); turn !== null; turn = next()) {
			const [name, experiment] = turn;
			const beganMs = this.clock();
			yield experiment;
			const namespace = namespaceOf(name);
			tookMs.set(namespace, (tookMs.get(namespace) ?? 0) + this.clock() - beganMs);
		}
	}

	/** Qualified names of those that the last tick did not reach. */
	get left(): readonly string[] {
		return this.#turns.names;
	}
}
